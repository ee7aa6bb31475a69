"""Batches: many photos and films in one run, colored by workers, written in order and listed in a report."""
