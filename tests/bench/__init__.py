"""Benchmarks: each system in turn, in one session, with the same work and the same stubs."""
