"""A part of a film: finished segments of its picture, which the film's own sink adopts."""

from __future__ import annotations  # Packet[...] is for type checkers only

from pathlib import Path
from typing import Any

from av.packet import Packet

from vidcolor.frames import ColoredFrame, Part
from vidcolor.media.encoders import OutputSettings
from vidcolor.media.segments import FilmRun, SegmentStore, part_of
from vidcolor.media.sink import FilmSink
from vidcolor.media.source import FilmSource
from vidcolor.steady.state import Arrays


class PartSink(FilmSink):
    """Makes the segments of a part, and nothing else. Frames before its first are counted and thrown away."""

    def __init__(
        self, path: Path, source: FilmSource, settings: OutputSettings, part: Part, *, run: FilmRun, resume: bool = True
    ) -> None:
        """path: of the film.  run, resume: see FilmSink."""
        super().__init__(path, source, settings, comment="", run=run, resume=resume)
        self._part, self._first_pts = part, part.first_pts

    def write(self, colored: ColoredFrame) -> None:
        """See FilmSink."""
        if self.frames_written < self._part.first:
            self.frames_written += 1
        else:
            super().write(colored)

    def end_segment(self, state: Arrays) -> None:
        """See FilmSink."""
        if self.frames_written > self._part.first:
            super().end_segment(state)

    def _opened_store(self, run: FilmRun) -> SegmentStore:
        store = SegmentStore(part_of(self.path, self._part.first), run, resume=self._resume)
        self.warnings += store.warnings
        return store

    def _open(self) -> None:
        super()._open()
        if self.place is None:
            self._set_clock(self._first_pts)
            self.place, self.frames_written = self._part.after, self._part.first_colored

    def _mux(self, packet: Packet[Any]) -> None:
        """The film's sink will."""

    def _finish(self) -> None:
        self._abandon()
