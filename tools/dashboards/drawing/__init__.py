"""Draws a dashboard as SVG from its JSON and real data, so that a reader sees what they get."""
