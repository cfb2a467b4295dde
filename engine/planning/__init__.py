"""Turns a window into a stored plan: ranges of keys that cover it, each counted or estimated.

Read `planner.py` first.
"""
