"""Finished segments of an unfinished film, kept on disk so that a killed run can be resumed.

A folder beside the output holds the packets of every finished segment, the state of the colors after the newest ones,
and a ledger. A segment counts once its line is in the ledger; the line is written when the segment is on disk, and
holds checksums of its files. A segment that is found damaged is encoded again.

Where it is noted which shots a segment touches, each can be made again by itself: colors begin anew with every shot.
Such segments are kept after one is dropped that was damaged, or of whose shots a changed project says something else.
"""

import os
import re
import shutil
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from av.packet import Packet

from vidcolor.counts import counted
from vidcolor.errors import SinkError
from vidcolor.filenames import hidden_name
from vidcolor.frames import ResumePoint
from vidcolor.media.film_ledger import FilmLedger, Segment, SegmentShots
from vidcolor.media.segment_files import (
    has_packets,
    has_state,
    kept_states,
    read_packets,
    read_state,
    write_packet,
    write_state,
)
from vidcolor.run import LAST_FRAME, Run
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
        if before is not None and self._ledger.made:
            if not (changes := run.changes_of_all(before)):
                self._drop_changed(before, run)
            elif self._ledger.is_finished:  # and kept: there is no work to be lost
                self._ledger.clear()
            else:
                raise ChangedError(
                    f"{output}: {counted(self.frames, 'frame of it was', 'frames of it were')} made with other"
                    f" inputs or settings and cannot be resumed: {'; '.join(changes)}. Give the command as it was, or"
                    " say --no-resume to start over."
                )
        self._drop_damaged()
        if not self._ledger.made:
            self._ledger.clear()
            self._ledger.begin(run)
        self._sweep()

    def _drop_changed(self, before: Run, run: Run) -> None:
        """Drop the segments of whose shots a project says something else now."""
        everything = -LAST_FRAME, LAST_FRAME
        if not run.changes(before) and run.says_of(*everything) == before.says_of(*everything):
            return
        made = self._ledger.made
        cuts = sorted({cut.count for segment in made.values() if segment.shots for cut in segment.shots.cuts})
        stale = []
        for number, segment in made.items():
            later = bisect_left(cuts, segment.end)
            last = cuts[later] - 1 if later < len(cuts) else LAST_FRAME
            begun = segment.shots.begun if segment.shots else None
            window = begun.count if begun else 0, last
            if segment.shots is None or run.says_of(*window) != before.says_of(*window):
                stale.append(number)
        self._ledger.drop(stale, run)

    def _drop_damaged(self) -> None:
        """Drop segments that are damaged, and those after them of which it is not known where their shots begin.

        What is left from the film's first segment on ends where coloring can go on: with a state, or with known shots.
        """
        made, ledger = self._ledger.made, self._ledger
        damaged = {number for number, segment in made.items() if not self._is_intact(segment)}
        gap = next(number for number in range(len(made) + 1) if number not in made or number in damaged)
        whole = gap if ledger.run is not None else 0
        kept = next((n for n in range(whole, 0, -1) if made[n - 1].shots or self._has_state(made[n - 1])), 0)
        ahead = {number for number, segment in made.items() if number > whole and segment.shots and ledger.run}
        dropped = sorted(made.keys() - range(kept) - (ahead - damaged))
        # The state is written last of a segment, just before its line.
        is_line_lost = not ledger.has_dropped and (self.folder / _name(len(ledger.segments), "state.npz")).exists()
        if not dropped and not is_line_lost:
            return
        is_cut_short = bool(damaged) or is_line_lost or whole < len(made)
        number = min(damaged, default=whole) if is_cut_short else len(made) - 1
        shots = made[number].shots if number in made else None
        if dropped:
            ledger.drop(dropped)
        begin = shots.first if shots else self.frames
        self.warnings.append(f"segment {number + 1} of the work kept was damaged; made again from frame {begin}")

    def _is_intact(self, segment: Segment) -> bool:
        return has_packets(self.folder / segment.file, segment.size, segment.packets_crc32)

    def _has_state(self, segment: Segment) -> bool:
        return has_state(self.folder / segment.state, segment.state_crc32)

    def _sweep(self) -> None:
        """Remove files that belong to no finished segment, and states that are not gone on from."""
        made = self._ledger.segments
        known = {"ledger", *(segment.file for segment in self._ledger.made.values())}
        if not (self._ledger.is_finished and all(segment.shots for segment in made)):
            known |= {made[number].state for number in kept_states(len(made))}
        for file in self.folder.iterdir():
            if file.name not in known:
                file.unlink()

    @property
    def partial(self) -> Path:
        """The file that the film is written into until it is finished."""
        return self.folder / "film"

    @property
    def count(self) -> int:
        """How many segments are finished, from the film's first on."""
        return len(self._ledger.segments)

    @property
    def frames(self) -> int:
        """How many frames these segments hold."""
        return self._ledger.segments[-1].end if self._ledger.segments else 0

    @property
    def next_kept(self) -> int | None:
        """The frame at which finished segments go on after the missing one; None where none do."""
        shots = self._ledger.ahead[0].shots if self._ledger.ahead else None
        return shots.first if shots else None

    @property
    def frames_ahead(self) -> int:
        """How many frames finished segments hold after the first missing one."""
        return sum(segment.end - segment.shots.first for segment in self._ledger.ahead if segment.shots)

    @property
    def is_whole(self) -> bool:
        """Whether it holds a film that was finished."""
        return bool(self.frames) and self.frames == self._ledger.film_frames

    @property
    def has_dropped(self) -> bool:
        """Whether segments were dropped: states then tell nothing of all frames before."""
        return self._ledger.has_dropped

    @property
    def resume_point(self) -> ResumePoint | None:
        """The last frame of the last finished segment; None where there is none."""
        if not self._ledger.segments:
            return None
        last = self._ledger.segments[-1]
        return ResumePoint(last.end, last.last_pts, last.checksum)

    @property
    def shots(self) -> SegmentShots | None:
        """Those of the last finished segment."""
        return self._ledger.segments[-1].shots if self._ledger.segments else None

    def coloring_start(self) -> tuple[ResumePoint | None, Arrays]:
        """The last frame before coloring goes on, and the state of the colors after it.

        Where no state is left, it goes on where the shot begins.
        """
        if self.shots is None or self._has_state(self._ledger.segments[-1]):
            return self.resume_point, self.state()
        return self.shots.newest, {}

    @property
    def first_pts(self) -> int | None:
        """The pts of the film's first frame, in its time_base; None before a segment is finished."""
        return self._ledger.segments[0].first_pts if self._ledger.segments else None

    def state(self) -> Arrays:
        """The state of the colors after the last finished segment; empty where there is none. Raises SinkError."""
        if not self._ledger.segments:
            return {}
        return read_state(self.folder / self._ledger.segments[-1].state)

    def packets(self, time_base: Fraction, first: int = 0) -> Iterator["Packet[Any]"]:
        """The packets of the finished segments from the `first` on, in the order they were written."""
        for segment in self._ledger.segments[first:]:
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

    @property
    def is_writing(self) -> bool:
        """Whether a segment was begun."""
        return self._file is not None

    def finish(self, last: ResumePoint, first_pts: int, state: Arrays, shots: SegmentShots | None = None) -> None:
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
            name, self._bytes, first_pts, last.count, last.pts, last.checksum, kept, self._crc32, state_crc32, shots
        )
        self._ledger.add(made)
        count = len(self._ledger.segments)
        for number in kept_states(count - 1) - kept_states(count):
            (self.folder / self._ledger.segments[number].state).unlink(missing_ok=True)

    def _name(self, suffix: str) -> str:
        return _name(len(self._ledger.segments), suffix)

    def close(self, *, is_done: bool, is_kept: bool = False) -> None:
        """Unlock the folder. It is removed if `is_done`, unless `is_kept`, or if it holds no finished segment."""
        if self._file is not None:
            with suppress(OSError):  # a segment that is not finished is made again
                self._file.close()
            self._file = None
        is_kept = bool(self._ledger.made) and (is_kept or not is_done)
        if is_kept and is_done:
            self._ledger.finish(self.frames)
        with suppress(OSError):
            if is_kept:
                self._sweep()
            else:
                # Under the lock, so that no other run begins in it. Windows leaves the ledger, which is open.
                shutil.rmtree(self.folder, ignore_errors=True)
        self._ledger.close()
        if not is_kept:
            with suppress(OSError):  # removed already, except where an open file cannot be deleted: NFS, Windows
                (self.folder / "ledger").unlink(missing_ok=True)
                self.folder.rmdir()


def _name(number: int, suffix: str) -> str:
    return f"{number:06d}.{suffix}"
