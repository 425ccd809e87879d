"""Benchmarks: what dltrain costs, beside a peer in the same run (`python -m tests.bench`; docs/benchmarks.md)."""
