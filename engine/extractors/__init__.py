"""One request to a service and its answer.

Read `extractor.py` first: it holds the protocol that the rest of the engine calls.
"""
