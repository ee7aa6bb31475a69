"""Color for black-and-white film: the picture stays the film's own, only chroma is added.

`colorize_film`, `colorize_files`, `colorize_photo` and `Colorizer` are for programs; docs/python.md has an example of
each. Importing this package loads nothing else: what is heavy comes with the first of these names that is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vidcolor.errors import (
    DeviceError,
    ModelError,
    ShapeError,
    SinkError,
    SourceError,
    TrainingError,
    UsageError,
    VidcolorError,
)

if TYPE_CHECKING:
    from vidcolor.api import (
        BatchObserver,
        BatchResult,
        Colorizer,
        FileResult,
        FilmResult,
        PhotoResult,
        PictureFormat,
        colorize_files,
        colorize_film,
        colorize_photo,
    )

__version__ = "1.0.0"

__all__ = [
    "BatchObserver",
    "BatchResult",
    "Colorizer",
    "DeviceError",
    "FileResult",
    "FilmResult",
    "ModelError",
    "PhotoResult",
    "PictureFormat",
    "ShapeError",
    "SinkError",
    "SourceError",
    "TrainingError",
    "UsageError",
    "VidcolorError",
    "__version__",
    "colorize_files",
    "colorize_film",
    "colorize_photo",
]

_LAZY = {
    "BatchObserver", "BatchResult", "Colorizer", "FileResult", "FilmResult", "PhotoResult", "PictureFormat",
    "colorize_files", "colorize_film", "colorize_photo",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module("vidcolor.api"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
