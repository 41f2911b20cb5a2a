"""Many servers on a network of hosts that fails in every way, and one collector."""

CASES = 10
"""Requests are ``/work/0`` to ``/work/9``: each runs lines of its own; the ninth fails, the tenth streams."""
