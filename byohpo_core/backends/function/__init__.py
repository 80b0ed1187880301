"""Trials are calls of a Python function."""
