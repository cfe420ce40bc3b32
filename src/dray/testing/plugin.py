"""The pytest plugin of Dray."""
