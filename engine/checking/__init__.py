"""After a run: what is missing, and running just that again.

Read `verify.py` first.
"""
