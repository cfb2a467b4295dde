"""Tests that share one real Airflow.

This folder is a package, so that the package-scoped fixture stops that Airflow after the last of them.
"""
