"""Runs the command line: `python -m engine`."""

from engine.cli.commands import main

main()
