"""Sends many requests to a service, some of which fail: limits, retries, and the search for bad texts.

Read `caller.py` first: it shows how a batch is sent, sent again and, if need be, bisected.
"""
