"""Does at random moments what may happen to a run, and judges its end: `make chaos`.

Read `__main__.py` first; each scenario is a module of its own.
"""
