"""Starts the servers of a demo: mongod, the NER service, and Airflow's processes.

Read `startup.py` first.
"""
