"""The programs that the pipeline benchmark compares: the engine, and what people use instead.

Read `workers.py` first: it is the program that the engine has to beat.
"""
