"""The tests, in folders named as the rooms of the engine that they test. `support/` holds what they share."""
