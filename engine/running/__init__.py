"""One range and one run, from reading to the checkpoint.

Read `pipeline.py` first: it shows the whole flow of a range.
"""
