"""Color laid under a picture's own lightness, and what colors a picture has already."""
