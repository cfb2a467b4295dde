"""Sends commands to MongoDB, hides how its drivers differ, and checks the logins' privileges before work.

Read `calls.py` first.
"""
