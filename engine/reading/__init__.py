"""Reads the documents of a key range from MongoDB, page by page, by an index or by a filter.

Read `reader.py` first.
"""
