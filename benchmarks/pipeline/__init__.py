"""Measures the whole pipeline: from MongoDB through a NER service and back into MongoDB.

Read `benchmark.py` first.
"""
