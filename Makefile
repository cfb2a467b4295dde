# Everything is installed into .venv, from requirements.lock. The demo keeps its state in .demo.

PYTHON ?= python3
VENV := .venv/installed

.PHONY: help install demo demo-celery demo-down pictures check test chaos lint lock clean \
  bench bench-memory bench-overhead bench-pipeline bench-planning bench-skip

help:             ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | column -t -s '	'

install: $(VENV)  ## install the package, with everything it needs, into .venv

$(VENV): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "Python 3.11, 3.12 or 3.13 is needed: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv \
	  || { echo "The venv module is missing: apt-get install python3-venv"; exit 1; }
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	@.venv/bin/uv pip sync --quiet --python .venv/bin/python requirements.lock
	@.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --editable .
	@touch $@

demo: $(VENV)     ## the main job on real input (KEEP=1 leaves it running, ALL=1 takes the whole history)
	@.venv/bin/python -m demo run $(if $(KEEP),--keep) $(if $(ALL),--all)

demo-celery: $(VENV) ## the same on two Celery workers with PostgreSQL and Redis, one killed in mid-run (KEEP=1 leaves it running)
	@.venv/bin/python -m demo celery $(if $(KEEP),--keep)

pictures: $(VENV) ## take the README's pictures again, in Debian's chromium
	@.venv/bin/python docs/pictures/take.py

demo-down: $(VENV) ## stop a demo that was left running
	@.venv/bin/python -m demo down

lint: $(VENV)     ## style, types, and who may import whom
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

# Three processes, however many cores there are: the tests of Airflow and of the demo wait for more of their own.
PYTEST := .venv/bin/pytest -n 3 --max-worker-restart=0

check: $(VENV)    ## lint and the tests that need no server, side by side, in less than a minute: for each commit
	@$(MAKE) --no-print-directory lint & lint=$$!; $(PYTEST) tests/unit tests/contract; tests=$$?; \
	  wait $$lint && exit $$tests

test: lint        ## lint and all tests but the long ones, about a quarter of an hour on two cores: before each push
	@$(PYTEST) -m 'not long'

chaos: $(VENV)    ## do at 200 random moments what may happen to a run, and judge its end (SEED=7 replays, ONLY=rename)
	@.venv/bin/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

# One after another, also under `make -j`: benchmarks that run side by side disturb each other.
.NOTPARALLEL:

bench: bench-memory bench-overhead bench-pipeline bench-planning bench-skip ## all benchmarks, about three quarters of an hour on an idle machine; results in benchmarks/results

bench-memory: $(VENV) ## does memory grow with the collection?
	@.venv/bin/python -m benchmarks.memory

bench-overhead: $(VENV) ## what Airflow adds to a run
	@.venv/bin/python -m benchmarks.overhead

bench-pipeline: $(VENV) ## the whole pipeline: the engine against what people use instead
	@.venv/bin/python -m benchmarks.pipeline

bench-planning: $(VENV) ## cutting a collection into ranges
	@.venv/bin/python -m benchmarks.planning

bench-skip: $(VENV) ## reading in pages: skip and limit against keyset
	@.venv/bin/python -m benchmarks.skip_vs_keyset

lock:             ## compile requirements.lock again
	@.venv/bin/uv pip compile --quiet pyproject.toml --extra airflow --extra bench --extra celery --extra demo \
	  --extra speed --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --output-file requirements.lock

clean:            ## remove .venv, .demo and all caches
	@rm -rf .venv .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
