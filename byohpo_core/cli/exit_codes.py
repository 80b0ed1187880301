"""What the command's exit codes mean; 0 is success."""

NO_RESULT = 1
"""A search brought no result, a check failed, or a listed plugin does not load."""
ERROR = 2
"""An error of the user's or a plugin's: one line on standard error."""
INTERRUPTED = 130
"""Ctrl-C."""
