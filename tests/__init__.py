"""Tests, in the rooms of what they test; `support/` has what they share."""
