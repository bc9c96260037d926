"""Shared parts of the benchmarks: sets and samples, kept results, and the measurements behind each entry point."""
