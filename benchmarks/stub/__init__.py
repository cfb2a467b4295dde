"""A NER service that answers by a rule, with the capacity and the faults that a benchmark asks for.

Read `service.py` first, then `server.py`.
"""
