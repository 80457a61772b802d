"""Benchmarks: one file a task; run with `python -m benchmarks NAME --help`."""
