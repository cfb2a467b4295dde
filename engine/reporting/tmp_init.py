"""A run's report as one HTML file that needs no other: no script, no style, no image from elsewhere."""

from engine.reporting.page import render

__all__ = ["render"]
