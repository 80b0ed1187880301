"""The backend that runs each trial as a call of a Python function."""
