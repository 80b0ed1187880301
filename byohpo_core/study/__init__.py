"""One study."""
