"""The state of one study: its problem, its trials, and the events that they follow from."""
