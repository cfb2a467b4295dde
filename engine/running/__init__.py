"""Runs one range, or all ranges of a window, from reading to the checkpoint.

Read `pipeline.py` first: it shows the whole flow of a range.
"""
