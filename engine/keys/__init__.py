"""A position in the order, a range of positions and a window: values only, without I/O.

Read `key.py` first: everything else builds on Key and KeyRange.
"""
