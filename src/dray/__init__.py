"""Dray: background jobs for Python that nobody has to outgrow."""

__version__ = "0.1.0"
