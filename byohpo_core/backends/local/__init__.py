"""Trials are training scripts on this machine."""
