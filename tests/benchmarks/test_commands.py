"""The commands in the documentation start, and refuse unknown options."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
BENCHMARKS = ("memory", "overhead", "pipeline", "planning", "skip_vs_keyset")


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs `python -m MODULE OPTIONS` in this process; returns its status, output and errors."""

    def run(module, *options):
        monkeypatch.setattr(sys, "argv", [module, *options])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_benchmark_is_a_command(run, name):
    """`python -m benchmarks.NAME --help` lists the options; all of them take `--quick`."""
    status, printed, _ = run(f"benchmarks.{name}", "--help")
    assert status == 0
    assert f"python -m benchmarks.{name}" in printed
    assert "--quick" in printed


@pytest.mark.parametrize("name", BENCHMARKS)
def test_make_has_a_target_for_each_benchmark(name):
    """`make bench` runs all of them."""
    makefile = (CHECKOUT / "Makefile").read_text()
    target = f"bench-{name.removesuffix('_vs_keyset')}"
    assert f"-m benchmarks.{name}" in makefile
    assert f"\n{target}:" in makefile
    assert target in next(line for line in makefile.splitlines() if line.startswith("bench:"))


def test_a_wrong_option_ends_with_status_2_before_anything_is_measured(run):
    """The message says what is wrong."""
    status, _, said = run("benchmarks.skip_vs_keyset", "--quick", "--set", "pages=3")
    assert status == 2
    assert "pages" in said
