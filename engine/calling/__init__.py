"""Many requests to a service, some of which fail: limits, retries, and the isolation of bad texts.

Read `caller.py` first: it shows how a request is made, repeated and, if need be, bisected.
"""
