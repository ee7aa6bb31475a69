"""Many files at once: folders, zips and tars as streams of entries, and the same written so that a kill does no harm.

`open_source` gives an iterable of `Entry`, `open_target` takes what each became, `in_order` keeps the order while
workers finish as they like.
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
