"""The demo on Celery workers with PostgreSQL and Redis; one worker is killed during the run.

Read `worker_loss.py` first.
"""
