"""Still image files in and out: open_still, Page.lightness, write_still."""

from vidcolor.stills.encode import jpeg_of
from vidcolor.stills.files import open_in_turn, open_still, write_still
from vidcolor.stills.page import Page, StillSettings
from vidcolor.stills.still import Still

__all__ = ["Page", "Still", "StillSettings", "jpeg_of", "open_in_turn", "open_still", "write_still"]
