"""A real NER model behind HTTP: the service that the demo calls.

Read `server.py` first.
"""
