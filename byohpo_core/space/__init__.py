"""The search space: parameters, their bounds, and the encodings that algorithms work on."""
