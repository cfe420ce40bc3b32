"""The version of Dray."""

__version__ = "0.1.0"
