"""The store suite, a file for each theme; import it from `dray.testing.store_suite`."""
