"""Stores the results and the state of a run: extractions, dead letters, checkpoints and plans.

Read `writer.py` first, then `checkpoint.py`.
"""
