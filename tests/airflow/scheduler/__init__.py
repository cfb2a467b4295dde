"""Tests that share one real Airflow; a package, so that the Airflow ends with the last of them."""
