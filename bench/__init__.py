"""Benchmarks: every figure beside the bare engine's of the same run."""
