"""Find plugins by name, build them with the user's options, and call their hooks one at a time."""
