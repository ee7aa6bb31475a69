"""ICC profiles: reading of gray and RGB profiles, and an RGB profile for files that had a gray one.

A gray profile cannot stay on an RGB file, but its tone curve can: with that curve and sRGB's primaries, every gray code
value stays as it is. Conversion to sRGB's curve would round each of them again.
Source: ICC.1:2022 (profile version 4.4), clauses 7 to 10.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vidcolor.painting.painter import SRGB, RgbSpace

# sRGB's primaries as seen under the profile connection space's D50 (IEC 61966-2-1, adapted by Bradford).
_PRIMARIES = {
    b"rXYZ": (0.43607, 0.22249, 0.01392),
    b"gXYZ": (0.38515, 0.71687, 0.09708),
    b"bXYZ": (0.14307, 0.06061, 0.71410),
}
_D50 = (0.9642, 1.0, 0.8249)
_SAMPLES = 1 << 16


@dataclass(frozen=True)
class Profile:
    """The meaning of a picture's codes, and the profile for the colored file."""

    space: RgbSpace = SRGB
    embedded: bytes | None = None  # ICC profile for the colored file
    is_understood: bool = True  # False: pixels need conversion to sRGB by a color management system


@lru_cache(maxsize=32)
def read_profile(icc: bytes | None) -> Profile:
    """Read an ICC profile of gray or RGB. A damaged one, or one of another color space, counts as none."""
    if not icc:
        return Profile()
    try:
        tags, kind = _read_tags(icc), icc[16:20]
        if kind == b"GRAY" and b"kTRC" in tags:
            return Profile(RgbSpace(_read_curve(tags[b"kTRC"])), _make_rgb_profile(tags[b"kTRC"], icc))
        if kind == b"RGB ":
            return _read_rgb(tags, icc)
    except (struct.error, ValueError, IndexError):
        return Profile()
    return Profile()


@lru_cache(maxsize=32)
def is_srgb(space: RgbSpace) -> bool:
    """Whether a space is so close to sRGB that no 8-bit code would change by more than rounding."""
    same_light = np.abs(space.light(8) - SRGB.light(8)).max() < 0.002
    return bool(same_light and np.abs(np.subtract(space.rgb_to_xyz, SRGB.rgb_to_xyz)).max() < 0.003)


def _read_rgb(tags: dict[bytes, bytes], icc: bytes) -> Profile:
    curves = [tags.get(name) for name in (b"rTRC", b"gTRC", b"bTRC")]
    columns = [tags.get(name) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    if curves[0] is None or None in columns or len(set(curves)) > 1 or b"A2B0" in tags:
        return Profile(is_understood=False)
    matrix = np.array([struct.unpack(">3i", column[8:20]) for column in columns if column], np.float64).T
    matrix /= matrix.sum(1, keepdims=True)
    rows = tuple(tuple(float(value) for value in row) for row in matrix)
    return Profile(RgbSpace(_read_curve(curves[0]), rows), icc)


def _read_tags(icc: bytes) -> dict[bytes, bytes]:
    count = struct.unpack_from(">I", icc, 128)[0]
    found = {}
    for at in range(132, 132 + 12 * min(count, 200), 12):
        name, start, size = struct.unpack_from(">4sII", icc, at)
        found[name] = icc[start : start + size]
    return found


def _read_curve(tag: bytes) -> NDArray[np.float64]:
    """Light of evenly spaced codes, read from a curveType or parametricCurveType (clauses 10.6, 10.18)."""
    codes = np.linspace(0, 1, _SAMPLES)
    if tag[:4] == b"curv":
        count = struct.unpack_from(">I", tag, 8)[0]
        if count == 0:
            return codes
        values = np.frombuffer(tag, ">u2", count, 12).astype(np.float64)
        if count == 1:
            return np.asarray(codes ** (values[0] / 256), np.float64)
        return np.maximum.accumulate(np.interp(codes, np.linspace(0, 1, count), values / 65535))
    if tag[:4] != b"para":
        raise ValueError("neither curv nor para")
    kind = struct.unpack_from(">H", tag, 8)[0]
    g, a, b, c, d, e, f = (
        *(v / 65536 for v in struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)), *[0.0] * 6,
    )[:7]  # fmt: skip
    if kind == 0:
        return np.asarray(codes**g, np.float64)
    if kind in (1, 2):
        c, d, e, f = 0.0, -b / a, c if kind == 2 else 0.0, c if kind == 2 else 0.0
    powered = np.clip(a * codes + b, 0, None) ** g + e
    return np.clip(np.maximum.accumulate(np.where(codes >= d, powered, c * codes + f)), 0, 1)


def _make_rgb_profile(curve: bytes, gray: bytes) -> bytes:
    """An RGB display profile with a gray profile's tone curve and sRGB's primaries."""
    curve = curve[: 12 + 2 * struct.unpack_from(">I", curve, 8)[0]] if curve[:4] == b"curv" else curve
    text = "RGB of the picture's own gray".encode("utf-16-be")
    spoken = b"mluc" + struct.pack(">IIIHHII", 0, 1, 12, 0x656E, 0x5553, len(text), 28) + text
    tags = {
        b"desc": spoken,
        b"cprt": spoken,
        b"wtpt": _xyz_tag(_D50),
        b"rTRC": curve,
        **{name: _xyz_tag(values) for name, values in _PRIMARIES.items()},
    }
    table, body, start = [], b"", 128 + 4 + 12 * (len(tags) + 2)
    for name, data in tags.items():
        table.append((name, start + len(body), len(data)))
        body += data + bytes(-len(data) % 4)
    red = next(entry for entry in table if entry[0] == b"rTRC")
    table += [(b"gTRC", *red[1:]), (b"bTRC", *red[1:])]  # one curve, three names
    header = bytearray(128)
    struct.pack_into(">I4sI4s4s4s", header, 0, start + len(body), b"\0\0\0\0", 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    header[24:36] = gray[24:36]
    header[36:40] = b"acsp"
    struct.pack_into(">3i", header, 68, *(round(value * 65536) for value in _D50))
    listed = b"".join(struct.pack(">4sII", *entry) for entry in table)
    return bytes(header) + struct.pack(">I", len(table)) + listed + body


def _xyz_tag(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))
