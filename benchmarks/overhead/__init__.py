"""Measures how much time Airflow adds to a run.

Read `benchmark.py` first.
"""
