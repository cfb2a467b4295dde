"""Renders the HTML report of a run, one self-contained page.

Read `page.py` first, which has the sections in order; `lookup.py` queries the data they show.
"""
