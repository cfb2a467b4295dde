"""A run's report as one HTML file that needs no other: no script, no style, no image from elsewhere."""

from engine.html_report.rendering import render

__all__ = ["render"]
