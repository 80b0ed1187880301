"""The search space: what may be tuned, within which bounds, and the coordinates in which algorithms work."""
