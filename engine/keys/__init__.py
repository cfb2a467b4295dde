"""Values without I/O: a key, a range of keys, a window, and the BSON values in them.

Read `key.py` first.
"""
