"""Sends one request to a NER service and checks its answer; retries are the business of `engine.calling`.

Read `extractor.py` first: it holds the protocol that the rest of the engine calls.
"""
