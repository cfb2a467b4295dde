"""Measures how long planning a window takes, by each strategy."""
