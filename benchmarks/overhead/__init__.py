"""Measures what Airflow adds to a run."""
