"""The kind `function`."""
