"""A driver lets a study's events happen, in one direction."""
