"""The mark of a text that the stub service cannot process.

It has a module of its own so that the stub's process imports no database driver for it.
"""

POISON = "\N{SKULL AND CROSSBONES}"
"""A request with a text that contains it fails as a whole, with status 500."""
