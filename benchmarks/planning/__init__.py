"""Compares ways of cutting a collection into ranges.

Read `splitters.py` first.
"""
