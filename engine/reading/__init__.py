"""A range to pages of documents.

Read `reader.py` first.
"""
