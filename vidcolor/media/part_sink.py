"""Encodes a part of a film into segments, which the sink of the whole film adopts."""

from __future__ import annotations  # Packet[...] is for type checkers only

from pathlib import Path
from typing import Any

from av.packet import Packet

from vidcolor.frames import Part
from vidcolor.media.encoders import OutputSettings
from vidcolor.media.segments import SegmentStore, part_path
from vidcolor.media.sink import FilmSink
from vidcolor.media.source import FilmSource
from vidcolor.run import Run


class PartSink(FilmSink):
    """Writes the segments of a part, and no film. Frames before the part's first are counted and dropped."""

    def __init__(
        self, path: Path, source: FilmSource, settings: OutputSettings, part: Part, *, run: Run, resume: bool = True
    ) -> None:
        """path: of the whole film.  run, resume: see FilmSink."""
        super().__init__(path, source, settings, comment="", run=run, resume=resume)
        self._part, self._first_pts = part, part.first_pts

    def _open_store(self, run: Run) -> SegmentStore:
        store = SegmentStore(part_path(self.path, self._part.first), run, resume=self._resume)
        self.warnings += store.warnings
        return store

    def _open(self) -> None:
        super()._open()
        if self.resume_point is None:
            self._set_clock(self._first_pts)
            self.resume_point, self.frames_written = self._part.after, self._part.first_colored
            self._frames_kept = self._part.first

    def _mux(self, packet: Packet[Any]) -> None:
        """Write nothing: the sink of the whole film muxes the packets."""

    def _finish(self) -> None:
        self._abandon()
