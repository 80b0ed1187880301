"""What an algorithm must do: one module for each group of checks."""
