"""The core's own plugins beside algorithms: stop rules, early stopping, known configurations, progress."""
