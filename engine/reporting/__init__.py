"""The HTML page about a run.

Read `page.py` first; `lookup.py` gathers what the page shows.
"""
