"""What the engine tells about itself: log events, metrics and the timeline of a range.

Read `events.py` first.
"""
