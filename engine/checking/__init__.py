"""Works on a finished run: finds missing documents, repairs them, and replays dead letters.

Read `verify.py` first.
"""
