"""One search: a problem, its trials, and the events that made them what they are."""
