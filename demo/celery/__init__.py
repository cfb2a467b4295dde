"""The demo on Celery workers with PostgreSQL and Redis, one worker killed in mid-run.

Read `worker_loss.py` first.
"""
