"""Compares reading by `skip` and `limit` with reading by key, on a real server.

Read `readers.py` first.
"""
