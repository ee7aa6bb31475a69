"""Reading and writing of still image files: open_still, Page.lightness, write_still."""

from vidcolor.stills.encode import encode_jpeg
from vidcolor.stills.files import open_in_turn, open_still, write_still
from vidcolor.stills.page import Page, StillSettings
from vidcolor.stills.still import Still

__all__ = ["Page", "Still", "StillSettings", "encode_jpeg", "open_in_turn", "open_still", "write_still"]
