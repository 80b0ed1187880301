"""What came of a study, for people and programs."""
