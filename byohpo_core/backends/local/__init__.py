"""The kind `local`."""
