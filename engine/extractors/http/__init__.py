"""What is known of HTTP: addresses, connections, and what an answer says besides its JSON.

Read `connections.py` first: one request goes out there, and its answer comes back.
"""
