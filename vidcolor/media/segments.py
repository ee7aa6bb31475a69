"""Finished segments of an unfinished film, kept on disk so that a killed run can be resumed.

A folder beside the output holds the packets of every finished segment, the state of the colors after the newest ones,
and a ledger. A segment counts once its line is in the ledger; the line is written when the segment is on disk, and
holds checksums of its files. A segment that is found damaged is encoded again.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from av.packet import Packet

from vidcolor.errors import SinkError
from vidcolor.filenames import hidden_name
from vidcolor.frames import ResumePoint
from vidcolor.media.film_ledger import FilmLedger, Segment
from vidcolor.media.segment_files import (
    has_packets,
    has_state,
    kept_states,
    read_packets,
    read_state,
    write_packet,
    write_state,
)
from vidcolor.run import Run
from vidcolor.steady.state import Arrays

PART_SIGN = "~"  # between an output's name and the first frame of a part of it
_PART = re.compile(rf"(.*)({PART_SIGN}\d{{9,}})", re.DOTALL)


class ChangedError(SinkError):
    """The unfinished output was started with another film, model or settings, and cannot be resumed."""


def part_path(output: Path, first: int) -> Path:
    """The name that a part of an output goes by; only its store is written under it."""
    return output.with_name(f"{output.name}{PART_SIGN}{first:09d}")


def find_parts(output: Path) -> list[Path]:
    """Paths of the parts that have a store, in order."""
    first = _folder_name(part_path(output, 0).name)
    begun = first[: first.rindex(PART_SIGN) + 1]
    names = sorted(folder.name for folder in output.parent.iterdir() if folder.name.startswith(begun))
    return [part_path(output, int(name[len(begun) :])) for name in names if name[len(begun) :].isdecimal()]


def _folder_name(name: str) -> str:
    """The name of the hidden folder of an output or a part, shortened where the name is too long."""
    found = _PART.fullmatch(name)
    return hidden_name(*found.groups()) if found else hidden_name(name)


def remove_parts(output: Path, run: Run) -> None:
    """Remove the stores of all parts, except parts that another run works on."""
    for part in find_parts(output):
        with suppress(SinkError):
            SegmentStore(part, run, resume=False).close(is_done=True)


class SegmentStore:
    """The folder beside an output. For one thread."""

    def __init__(self, output: Path, run: Run, *, resume: bool = True) -> None:
        """Lock the folder and read it; resume=False empties it.

        Raises ChangedError where the segments are of another film, model or settings, SinkError when another run works
        on them.
        """
        self.folder = output.with_name(_folder_name(output.name))
        self.warnings: list[str] = []  # of segments that have to be made again
        if self.folder.is_symlink():
            raise SinkError(f"{self.folder}: is a link, and nothing is written through it. Remove it.")
        self.folder.mkdir(exist_ok=True)
        self._ledger = FilmLedger(self.folder / "ledger", output)
        self._ledger.__enter__()
        try:
            if not resume:
                self._ledger.clear()
                self._sweep()
            self._check(output, run)
        except BaseException:
            self._ledger.close()
            raise
        self._file: BinaryIO | None = None
        self._bytes = self._crc32 = 0

    def _check(self, output: Path, run: Run) -> None:
        before = self._ledger.run
        if before is not None and self._ledger.segments and (changes := run.changes(before)):
            raise ChangedError(
                f"{output}: {self.frames} frames of it were made with other inputs or settings and cannot be resumed:"
                f" {'; '.join(changes)}. Give the command as it was, or say --no-resume to start over."
            )
        self._drop_damaged()
        if not self._ledger.segments:
            self._ledger.clear()
            self._ledger.begin(run)
        self._sweep()

    def _drop_damaged(self) -> None:
        """Go back to the last segment that has a state, and before which every segment is intact."""
        made = self._ledger.segments
        whole = 0 if self._ledger.run is None else self._intact_segments()
        kept = next((count for count in range(whole, 0, -1) if self._has_state(made[count - 1])), 0)
        # The state is written last of a segment, just before its line.
        is_line_lost = (self.folder / _name(len(made), "state.npz")).exists()
        if kept < len(made) or is_line_lost:
            number = whole + 1 if whole < len(made) or is_line_lost else len(made)
            self._ledger.truncate(kept)
            self.warnings.append(f"segment {number} of the work kept was damaged; made again from frame {self.frames}")

    def _intact_segments(self) -> int:
        """How many segments from the first on are as they were written; a damaged line of the ledger leaves a gap."""
        for number, segment in enumerate(self._ledger.segments):
            path = self.folder / segment.file
            if path.name != _name(number, "packets") or not has_packets(path, segment.size, segment.packets_crc32):
                return number
        return len(self._ledger.segments)

    def _has_state(self, segment: Segment) -> bool:
        return has_state(self.folder / segment.state, segment.state_crc32)

    def _sweep(self) -> None:
        """Remove files that belong to no finished segment."""
        made = self._ledger.segments
        known = {"ledger", *(segment.file for segment in made)}
        known |= {made[number].state for number in kept_states(len(made))}
        for file in self.folder.iterdir():
            if file.name not in known:
                file.unlink()

    @property
    def partial(self) -> Path:
        """The file that the film is written into until it is finished."""
        return self.folder / "film"

    @property
    def frames(self) -> int:
        """How many frames the finished segments hold."""
        return self._ledger.segments[-1].end if self._ledger.segments else 0

    @property
    def resume_point(self) -> ResumePoint | None:
        """The last frame of the last finished segment; None where there is none."""
        if not self._ledger.segments:
            return None
        last = self._ledger.segments[-1]
        return ResumePoint(last.end, last.last_pts, last.checksum)

    @property
    def first_pts(self) -> int | None:
        """The pts of the film's first frame, in its time_base; None before a segment is finished."""
        return self._ledger.segments[0].first_pts if self._ledger.segments else None

    def state(self) -> Arrays:
        """The state of the colors after the last finished segment; empty where there is none. Raises SinkError."""
        if not self._ledger.segments:
            return {}
        return read_state(self.folder / self._ledger.segments[-1].state)

    def packets(self, time_base: Fraction) -> Iterator["Packet[Any]"]:
        """The packets of every finished segment, in the order they were written."""
        for segment in self._ledger.segments:
            yield from read_packets(self.folder / segment.file, time_base)

    def adopt(self, part: Path) -> None:
        """Take over the segments of a part that another worker made, if they continue the ones here.

        part: see `part_path`.  Raises ChangedError, SinkError as the constructor does.
        """
        assert self._ledger.run is not None
        if int(part.name.rpartition(PART_SIGN)[2]) != self.frames:
            return
        other = SegmentStore(part, self._ledger.run)
        made, count = other._ledger.segments, len(self._ledger.segments)
        taken = [
            replace(segment, file=_name(count + number, "packets"), state=_name(count + number, "state.npz"))
            for number, segment in enumerate(made)
        ]
        for segment, mine in zip(made, taken, strict=True):
            (other.folder / segment.file).replace(self.folder / mine.file)
            with suppress(FileNotFoundError):  # not every state is kept
                (other.folder / segment.state).replace(self.folder / mine.state)
        self.warnings += other.warnings
        if made:
            self._ledger.add(*taken)
            self._sweep()
        other.close(is_done=True)

    def write(self, packet: "Packet[Any]") -> None:
        """Write a packet of the segment that is being made."""
        if self._file is None:
            self._file, self._bytes, self._crc32 = (self.folder / self._name("packets")).open("wb"), 0, 0
        size, self._crc32 = write_packet(self._file, packet, self._crc32)
        self._bytes += size

    def finish(self, last: ResumePoint, first_pts: int, state: Arrays) -> None:
        """Bring the segment to the disk and enter it in the ledger.

        last: its last frame.  first_pts: of the film's first frame.  state: of the colors after `last`.
        """
        assert self._file is not None
        file, name, self._file = self._file, self._name("packets"), None
        file.flush()
        os.fsync(file.fileno())
        file.close()
        kept = self._name("state.npz")
        state_crc32 = write_state(self.folder / kept, state)
        made = Segment(
            name, self._bytes, first_pts, last.count, last.pts, last.checksum, kept, self._crc32, state_crc32
        )
        self._ledger.add(made)
        count = len(self._ledger.segments)
        for number in kept_states(count - 1) - kept_states(count):
            (self.folder / self._ledger.segments[number].state).unlink(missing_ok=True)

    def _name(self, suffix: str) -> str:
        return _name(len(self._ledger.segments), suffix)

    def close(self, *, is_done: bool) -> None:
        """Unlock the folder. It is removed if `is_done`, or if it holds no finished segment."""
        if self._file is not None:
            with suppress(OSError):  # a segment that is not finished is made again
                self._file.close()
            self._file = None
        is_kept = bool(self._ledger.segments) and not is_done
        with suppress(OSError):
            if is_kept:
                self._sweep()
            else:
                shutil.rmtree(self.folder)  # under the lock, so that no other run begins in it
        self._ledger.close()
        if not is_kept:
            with suppress(OSError):  # removed already, except where an open file cannot be deleted: NFS, Windows
                (self.folder / "ledger").unlink(missing_ok=True)
                self.folder.rmdir()


def _name(number: int, suffix: str) -> str:
    return f"{number:06d}.{suffix}"
