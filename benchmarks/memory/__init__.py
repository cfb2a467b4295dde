"""Measures how the memory of a run depends on the number of documents.

Read `benchmark.py` first.
"""
