"""Folders, zips and tars: read as streams of entries, and written so that a killed run can resume.

`open_source` gives an iterable of `Entry`, `open_target` writes what became of each, `in_order` keeps the order of
entries while workers finish in any order.
"""

from vidcolor.archives.entries import Entry, Source
from vidcolor.archives.folder_watcher import FolderWatcher
from vidcolor.archives.limits import Limits
from vidcolor.archives.opening import open_source, open_target, reopen_target
from vidcolor.archives.ordering import completed_future, in_order
from vidcolor.archives.targets import RefusedError, Target

__all__ = [
    "Entry",
    "FolderWatcher",
    "Limits",
    "RefusedError",
    "Source",
    "Target",
    "completed_future",
    "in_order",
    "open_source",
    "open_target",
    "reopen_target",
]  # fmt: skip
