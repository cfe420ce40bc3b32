"""The stores to measure, each with its bare engine: what a benchmark compares with.

A ground has `name`; `describe()`, for the head of the report; `fresh()`, a `with` that gives the app over a new store;
`floor_drain(app, n)`, jobs per second of a bare loop of the store's own statements over `n` jobs that are ready; `fill(app, …)`;
`bare()`, a `with` that gives the URL of a table like the store's for bare inserts; and `every`, seconds between looks for an end.
"""
