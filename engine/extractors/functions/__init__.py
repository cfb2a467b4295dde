"""One's own functions as extractors: what is checked before a call, and what is said of a fault.

Read `faults.py` first: every attempt goes through it.
"""
