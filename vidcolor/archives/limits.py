"""Limits that an archive must keep, counted while it is read: beyond them it counts as a decompression bomb."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from vidcolor.counts import counted
from vidcolor.errors import SourceError


@dataclass(frozen=True)
class Limits:
    """What an archive may hold. Sizes in bytes, unpacked."""

    members: int = 2_000_000
    member_bytes: int = 1 << 40
    total_bytes: int = 1 << 46
    in_memory_bytes: int = 1 << 30  # the largest that Entry.read takes at once
    ratio: float = 200.0  # unpacked to packed
    ratio_from_bytes: int = 1 << 28  # nothing smaller is refused for its ratio: a blank scan compresses 1000 to 1


class Meter:
    """Counts what is read of one archive. Every method raises SourceError past a limit."""

    def __init__(self, limits: Limits, archive: str) -> None:
        self.limits, self.archive = limits, archive
        self.members = 0
        self.total_bytes = 0
        self._total_packed = 0

    def count_member(self) -> None:
        """Count one more member."""
        self.members += 1
        if self.members > self.limits.members:
            raise SourceError(f"{self.archive}: more than {self.limits.members} members. Split it, or raise the limit.")

    def count(self, name: str, new_bytes: int, member_bytes: int, packed_bytes: int) -> None:
        """Count new_bytes of a member, of which member_bytes were read so far, out of packed_bytes."""
        self.total_bytes += new_bytes
        if member_bytes > self.limits.member_bytes:
            raise SourceError(f"{self.archive}: {name}: more than {self.limits.member_bytes} bytes; see the limits.")
        if self.total_bytes > self.limits.total_bytes:
            raise SourceError(f"{self.archive}: more than {self.limits.total_bytes} bytes in all; see the limits.")
        self.check_ratio(name, member_bytes, packed_bytes)

    def check_ratio(self, name: str, unpacked_bytes: int, packed_bytes: int) -> None:
        """Raise SourceError for content that unpacks to far more than its size."""
        limits = self.limits
        if unpacked_bytes > limits.ratio_from_bytes and unpacked_bytes > limits.ratio * max(1, packed_bytes):
            raise SourceError(
                f"{self.archive}: {name}: {packed_bytes} bytes unpack to more than {unpacked_bytes}, as a bomb's do "
                f"(limit {limits.ratio:g} to 1). Unpack it by hand if you trust it."
            )

    def finish_member(self, packed_bytes: int) -> None:
        """Add the packed size of a member that was read; all members together have to keep the ratio, too."""
        self._total_packed += packed_bytes
        self.check_ratio("all members", self.total_bytes, self._total_packed)


class Metered(io.RawIOBase):
    """A reader that counts what is read, and turns what decompressors raise into SourceError."""

    def __init__(
        self,
        file: BinaryIO,
        meter: Meter,
        name: str,
        *,
        packed_bytes: Callable[[], int],
        damaged: tuple[type[Exception], ...],
        expected_bytes: int | None = None,
    ) -> None:
        """expected_bytes: what the member's header states; less is damage. None: any number."""
        self._file, self._meter, self._name = file, meter, name
        self._packed_bytes, self._damaged, self._expected = packed_bytes, damaged, expected_bytes
        self._given = 0  # bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            content = self._file.read(len(buffer))
        except self._damaged as error:
            raise SourceError(f"{self._meter.archive}: {self._name}: damaged ({error or 'breaks off'}).") from error
        if not content and self._expected is not None and self._given < self._expected:
            raise SourceError(f"{self._meter.archive}: {self._name}: breaks off after {counted(self._given, 'byte')}.")
        self._given += len(content)
        self._meter.count(self._name, len(content), self._given, self._packed_bytes())
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._file.close()
            self._meter.finish_member(self._packed_bytes())
