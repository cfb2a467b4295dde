"""MongoDB's drivers, logins and errors.

Read `driver.py` first: it holds what differs between Motor, PyMongo and mongomock-motor.
"""
