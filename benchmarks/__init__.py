"""Benchmarks against other libraries: `make bench`. docs/performance.md explains the results."""
