"""Shows what the engine does: log events, metrics and the timeline of a range.

Read `events.py` first.
"""
