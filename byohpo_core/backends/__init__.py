"""Where jobs run: one folder or file a kind of backend, each found by its entry point."""
