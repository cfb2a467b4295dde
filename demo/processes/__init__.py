"""Starting processes, recording them, and ending them with all their descendants.

Read `supervisor.py` first.
"""
