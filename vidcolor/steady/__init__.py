"""Steadiness of a film's colours over time: averaged frame by frame, or carried from key frames."""
