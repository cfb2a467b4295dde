"""Measures the memory of a run, by the number of documents."""
