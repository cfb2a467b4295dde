"""Starts processes, records them, and ends them with all their descendants.

Read `supervisor.py` first.
"""
