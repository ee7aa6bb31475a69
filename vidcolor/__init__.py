"""Colour for black-and-white film: the picture stays the film's own, only chroma is added."""

__version__ = "0.1.0"
