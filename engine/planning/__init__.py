"""A window to ranges of keys.

Read `planner.py` first.
"""
