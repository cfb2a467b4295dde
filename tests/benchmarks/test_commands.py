"""The commands in the documentation start, and refuse unknown options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
BENCHMARKS = ("memory", "overhead", "pipeline", "planning", "skip_vs_keyset")


def run(*arguments):
    """Runs `python` with these arguments in the checkout."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", BENCHMARKS)
def test_each_benchmark_is_a_command(name):
    """`python -m benchmarks.NAME --help` lists the options; all of them take `--quick`."""
    ended = run("-m", f"benchmarks.{name}", "--help")
    assert ended.returncode == 0, ended.stderr
    assert f"python -m benchmarks.{name}" in ended.stdout
    assert "--quick" in ended.stdout


@pytest.mark.parametrize("name", BENCHMARKS)
def test_make_has_a_target_for_each_benchmark(name):
    """`make bench` runs all of them."""
    makefile = (CHECKOUT / "Makefile").read_text()
    target = f"bench-{name.removesuffix('_vs_keyset')}"
    assert f"-m benchmarks.{name}" in makefile
    assert f"\n{target}:" in makefile
    assert target in next(line for line in makefile.splitlines() if line.startswith("bench:"))


def test_a_wrong_option_ends_with_status_2_before_anything_is_measured():
    """The message says what is wrong."""
    ended = run("-m", "benchmarks.skip_vs_keyset", "--quick", "--set", "pages=3")
    assert ended.returncode == 2
    assert "pages" in ended.stderr
