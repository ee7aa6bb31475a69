"""Checks of the numbers in a tar's headers, which tarfile would accept and follow."""

import tarfile
from typing import Any, Self, cast

from vidcolor.errors import VidcolorError

_LARGEST_SIZE = (1 << 63) - 1  # bytes that a file can have
_LARGEST_EXTENSION = 1 << 24  # bytes of a header's long name or PAX fields
_EXTENSIONS = {
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
}  # fmt: skip


class _CheckedMember(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> Self:
        """Refuse sizes that would be read backwards, or whole into memory."""
        member = super().frombuf(buf, encoding, errors)
        largest = _LARGEST_EXTENSION if member.type in _EXTENSIONS else _LARGEST_SIZE
        if found := _find_size_error(member.size, largest):
            raise tarfile.InvalidHeaderError(found)  # type: ignore[attr-defined]
        return member

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        """Keep the error that ended the tar: TarFile takes a broken header for the end."""
        try:
            return super().fromtarfile(tarfile)
        except Exception as error:
            cast(CheckedTarFile, tarfile).ended_by = error
            raise


class CheckedTarFile(tarfile.TarFile):
    """A TarFile whose members follow each other. Raises only TarError, OSError and VidcolorError."""

    tarinfo = _CheckedMember
    ended_by: Exception | None = None
    _end = 0  # of the last member, in bytes

    def next(self) -> tarfile.TarInfo | None:
        """The next member; see TarFile."""
        if self.firstmember is not None:  # type: ignore[attr-defined] # already checked on opening
            return super().next()
        try:
            member = super().next()
        except (tarfile.TarError, OSError, VidcolorError):
            raise
        except RecursionError as error:
            raise tarfile.ReadError("headers of headers without end") from error
        except Exception as error:  # whatever a hostile header leads to
            raise tarfile.ReadError(str(error) or type(error).__name__) from error
        end: int = self.offset
        if member is not None and (found := _find_contradiction(member, self._end, end)):
            raise tarfile.ReadError(f"{member.name}: {found}")
        self._end = end
        return member


def is_header(block: bytes) -> bool:
    """Whether the first block of a file is a member's header, by its checksum: the oldest tars have no magic number."""
    try:
        _CheckedMember.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _find_contradiction(member: tarfile.TarInfo, before: int, end: int) -> str:
    """What is impossible in a member's numbers, PAX fields included; "" for nothing.

    before, end: bytes where the previous member, and the member itself, end.
    """
    if found := _find_size_error(member.size, _LARGEST_SIZE):
        return found
    if not before < member.offset_data <= end <= _LARGEST_SIZE:
        return "a length that leads backwards"
    covered = 0
    for offset, length in cast(list[tuple[int, int]] | None, member.sparse) or ():
        start = covered if length else 0  # old maps are filled up with empty pieces
        if not start <= offset <= offset + length <= member.size:
            return "a map of holes that does not fit its size"
        covered = max(covered, offset + length)
    return ""


def _find_size_error(size: int, largest: int) -> str:
    if size < 0:
        return "a size below 0"
    return "" if size <= largest else f"a size of more than {largest} bytes"
