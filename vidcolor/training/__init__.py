"""Learning colors from photos and films."""
