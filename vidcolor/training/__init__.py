"""Learning colours from photos and films."""
