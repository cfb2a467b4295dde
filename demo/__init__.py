"""The demo: a real MongoDB, real messages, a real model and a real Airflow in one command."""
