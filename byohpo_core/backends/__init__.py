"""The built-in backends: one folder or file for each kind, found by its entry point."""
