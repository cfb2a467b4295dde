"""What a person types, and what they see.

Read `commands.py` first.
"""
