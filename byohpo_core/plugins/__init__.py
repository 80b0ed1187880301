"""Plugins: found by name, built with the user's options, asked one at a time."""
