"""What is kept: extractions, dead letters, checkpoints and plans.

Read `writer.py` first, then `checkpoint.py`.
"""
