"""Hides how the MongoDB drivers differ, and checks before work that the logins have their privileges.

Read `driver.py` first.
"""
