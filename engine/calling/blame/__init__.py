"""What a failure is blamed on: a text, or the service and one's own function, whatever the text.

Read `refusal.py` first.
"""
