"""Helpers for tests and benchmarks: fakes, and rigs of real components."""
