"""A film's picture while it is being made: finished segments on disk, from which a killed run goes on.

Beside the output lies a folder with the packets of every finished segment, the state of the colors at the end of the
last ones, and a ledger. A segment counts once its line is in the ledger, and its line is written when it is on disk.
The line holds checksums of both; what has been damaged since is made again.
"""

import os
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from av.packet import Packet

from vidcolor.errors import SinkError
from vidcolor.filenames import hidden_name
from vidcolor.frames import ResumePoint
from vidcolor.ledger import Ledger
from vidcolor.media.identity import identity_of as identity_of
from vidcolor.media.identity import is_same
from vidcolor.media.segment_files import HEAD, has_packets, has_state, read_state, states_kept, write_state
from vidcolor.steady.state import Arrays

PART_SIGN = "~"  # between an output's name and the first frame of a part of it
_PART = re.compile(rf"(.*)({PART_SIGN}\d{{9,}})", re.DOTALL)
_MACHINE = ("precision", "backend", "OpenCV", "film libraries")  # settings that tell what computed
_NONE = -(1 << 63)  # no pts or dts


class ChangedError(SinkError):
    """The output was begun from something else: it cannot be gone on with."""


@dataclass(frozen=True)
class FilmRun:
    """What decides the output: segments of two different runs must not be joined."""

    source: str  # identity of the input; see identity_of
    model_sha256: str
    settings: Mapping[str, str]

    def changes(self, before: "FilmRun") -> list[str]:
        """What differs, in words."""
        found = [] if is_same(self.source, before.source) else ["the film is another"]
        found += ["the model is another"] if self.model_sha256 != before.model_sha256 else []
        is_told, was_told = self._told(), before._told()
        for name in sorted({*is_told, *was_told}):
            old, new = was_told.get(name, "-"), is_told.get(name, "-")
            if "-" in (old, new) and name in _MACHINE:
                continue  # unknown, as vidcolor 0.1.0 left it
            found += [] if is_same(new, old) else [f"{name} was {old}, is {new}"]
        return found

    def _told(self) -> dict[str, str]:
        """The settings; what vidcolor 0.1.0 noted of precision was the option, which can be auto."""
        told = dict(self.settings)
        option = told.pop("--precision", "auto")
        return told if option == "auto" else {"precision": option} | told


@dataclass(frozen=True)
class Segment:
    """A finished one. first_pts: of the whole film's first frame.  end, last_pts, checksum: of its own last frame.

    The checksums of its files are None where vidcolor 0.1.0 has made it.
    """

    file: str
    size: int
    first_pts: int
    end: int
    last_pts: int
    checksum: int
    state: str
    packets_crc32: int | None = None
    state_crc32: int | None = None


def part_of(output: Path, first: int) -> Path:
    """The name that a part of an output goes by; nothing is written under it but its store."""
    return output.with_name(f"{output.name}{PART_SIGN}{first:09d}")


def parts_of(output: Path) -> list[Path]:
    """Parts that have been begun, in order."""
    first = _folder_name(part_of(output, 0).name)
    begun = first[: first.rindex(PART_SIGN) + 1]
    names = sorted(folder.name for folder in output.parent.iterdir() if folder.name.startswith(begun))
    return [part_of(output, int(name[len(begun) :])) for name in names if name[len(begun) :].isdecimal()]


def _folder_name(name: str) -> str:
    """The hidden folder of an output or a part, whatever the length of its name."""
    found = _PART.fullmatch(name)
    return hidden_name(*found.groups()) if found else hidden_name(name)


def forget_parts(output: Path, run: FilmRun) -> None:
    """Remove what was begun in parts, but for those that another run works on."""
    for part in parts_of(output):
        with suppress(SinkError):
            SegmentStore(part, run, resume=False).close(is_done=True)


class _FilmLedger(Ledger):
    """The run, then its segments."""

    def _reset(self) -> None:
        self.run: FilmRun | None = None
        self.segments: list[Segment] = []
        self._ends: list[int] = []  # of the lines of segments that were read

    def _take(self, fields: dict[str, Any], end: int) -> None:
        if "run" in fields:
            self.run = FilmRun(**fields["run"])
        else:
            self.segments.append(Segment(**fields))
            self._ends.append(end)

    def begin(self, run: FilmRun) -> None:
        self._write(self._line({"run": asdict(run)}))
        self.run = run

    def add(self, *segments: Segment) -> None:
        self._write(b"".join(self._line(asdict(segment)) for segment in segments))
        self.sync()
        self.segments.extend(segments)

    def keep(self, count: int) -> None:
        """Forget all segments that were read but the first ones."""
        self.cut(self._ends[count - 1]) if count else self.clear()


class SegmentStore:
    """The folder beside the output. For one thread."""

    def __init__(self, output: Path, run: FilmRun, *, resume: bool = True) -> None:
        """Lock the folder and read what is there; resume=False forgets it.

        Raises ChangedError for what another film, model or setting left, SinkError when another run works on it.
        """
        self.folder = output.with_name(_folder_name(output.name))
        self.warnings: list[str] = []  # of work that has to be done again
        if self.folder.is_symlink():
            raise SinkError(f"{self.folder}: is a link, and nothing is written through it. Remove it.")
        self.folder.mkdir(exist_ok=True)
        self._ledger = _FilmLedger(self.folder / "ledger", output)
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

    def _check(self, output: Path, run: FilmRun) -> None:
        before = self._ledger.run
        if before is not None and self._ledger.segments and (changes := run.changes(before)):
            raise ChangedError(
                f"{output}: {self.frames} frames of it were made before, but {'; '.join(changes)}. Say --no-resume to"
                " begin anew, or give the command as it was."
            )
        self._drop_damaged()
        if not self._ledger.segments:
            self._ledger.clear()
            self._ledger.begin(run)
        self._sweep()

    def _drop_damaged(self) -> None:
        """Go back to the last segment up to which everything is whole, and the state with it."""
        made = self._ledger.segments
        whole = 0 if self._ledger.run is None else self._whole_segments()
        kept = next((count for count in range(whole, 0, -1) if self._has_state(made[count - 1])), 0)
        # A state is the last that is written of a segment before its line.
        is_line_lost = (self.folder / _name(len(made), "state.npz")).exists()
        if kept < len(made) or is_line_lost:
            number = whole + 1 if whole < len(made) or is_line_lost else len(made)
            self._ledger.keep(kept)
            self.warnings.append(f"segment {number} of the work kept was damaged; made again from frame {self.frames}")

    def _whole_segments(self) -> int:
        """How many of the first segments are as they were written; a damaged line of the ledger leaves a gap."""
        for number, segment in enumerate(self._ledger.segments):
            path = self.folder / segment.file
            if path.name != _name(number, "packets") or not has_packets(path, segment.size, segment.packets_crc32):
                return number
        return len(self._ledger.segments)

    def _has_state(self, segment: Segment) -> bool:
        return has_state(self.folder / segment.state, segment.state_crc32)

    def _sweep(self) -> None:
        """Remove what a killed run left unfinished."""
        made = self._ledger.segments
        known = {"ledger", *(segment.file for segment in made)}
        known |= {made[number].state for number in states_kept(len(made))}
        for file in self.folder.iterdir():
            if file.name not in known:
                file.unlink()

    @property
    def partial(self) -> Path:
        """Where the film grows."""
        return self.folder / "film"

    @property
    def frames(self) -> int:
        """Frames of finished segments."""
        return self._ledger.segments[-1].end if self._ledger.segments else 0

    @property
    def place(self) -> ResumePoint | None:
        """The last frame of finished segments."""
        if not self._ledger.segments:
            return None
        last = self._ledger.segments[-1]
        return ResumePoint(last.end, last.last_pts, last.checksum)

    @property
    def first_pts(self) -> int | None:
        """Of the film's first frame, in the film's time base, once a segment is finished."""
        return self._ledger.segments[0].first_pts if self._ledger.segments else None

    def state(self) -> Arrays:
        """What the colors need to go on after the last finished segment. Raises SinkError for a damaged file."""
        if not self._ledger.segments:
            return {}
        return read_state(self.folder / self._ledger.segments[-1].state)

    def packets(self, time_base: Fraction) -> Iterator["Packet[Any]"]:
        """Those of every finished segment, in the order they were written."""
        for segment in self._ledger.segments:
            with (self.folder / segment.file).open("rb") as file:
                while head := file.read(HEAD.size):
                    pts, dts, duration, size, is_key = HEAD.unpack(head)
                    yield _packet(file.read(size), pts, dts, duration, time_base, is_key=is_key)

    def adopt(self, part: Path) -> None:
        """Take over the segments of a part that another worker made, if they follow on those that are here.

        part: see `part_of`.  Raises ChangedError, SinkError as on entering.
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
        """One packet of the segment that is being made."""
        if self._file is None:
            self._file, self._bytes, self._crc32 = (self.folder / self._name("packets")).open("wb"), 0, 0
        pts, dts = (_NONE if stamp is None else stamp for stamp in (packet.pts, packet.dts))
        head = HEAD.pack(pts, dts, packet.duration or 0, packet.size, packet.is_keyframe)
        self._crc32 = zlib.crc32(packet, zlib.crc32(head, self._crc32))
        self._bytes += self._file.write(head) + self._file.write(packet)

    def finish(self, last: ResumePoint, first_pts: int, state: Arrays) -> None:
        """The segment is complete: frames up to `last` of the film, whose first has `first_pts`."""
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
        for number in states_kept(count - 1) - states_kept(count):
            (self.folder / self._ledger.segments[number].state).unlink(missing_ok=True)

    def _name(self, suffix: str) -> str:
        return _name(len(self._ledger.segments), suffix)

    def close(self, *, is_done: bool) -> None:
        """Let go; with `is_done`, or when nothing would be won by keeping it, the folder goes."""
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
            with suppress(OSError):  # gone already, but where a file that is open cannot be deleted: NFS, Windows
                (self.folder / "ledger").unlink(missing_ok=True)
                self.folder.rmdir()


def _name(number: int, suffix: str) -> str:
    return f"{number:06d}.{suffix}"


def copy_of(packet: "Packet[Any]") -> "Packet[Any]":
    """A packet as it comes back from the disk."""
    pts, dts = (_NONE if stamp is None else stamp for stamp in (packet.pts, packet.dts))
    return _packet(bytes(packet), pts, dts, packet.duration or 0, packet.time_base, is_key=packet.is_keyframe)


def _packet(content: bytes, pts: int, dts: int, duration: int, time_base: Fraction, *, is_key: bool) -> "Packet[Any]":
    packet: Packet[Any] = Packet(content)
    packet.pts, packet.dts = (None if stamp == _NONE else stamp for stamp in (pts, dts))
    packet.duration, packet.time_base, packet.is_keyframe = duration, time_base, is_key
    return packet
