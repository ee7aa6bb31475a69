"""Painting of stills with predicted color at their own lightness, and detection of colors they have already."""
