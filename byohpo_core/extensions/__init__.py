"""The plugins of the core that are not algorithms: stop rules, early stopping, initial configurations, progress."""
