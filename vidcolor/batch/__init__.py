"""Many files in one run: read from a source, colored by workers, written in order, and reported on."""
