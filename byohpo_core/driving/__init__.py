"""Driving a study."""
