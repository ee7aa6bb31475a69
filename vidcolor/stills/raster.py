"""One decoded picture of a still file: code values, alpha, profile, and the gray that is painted."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageChops, ImageCms

from vidcolor.errors import SourceError, unreadable
from vidcolor.painting.painter import Gray, RgbSpace
from vidcolor.planes import look_up
from vidcolor.stills import profiles
from vidcolor.stills.damage import DAMAGED

LARGEST_PIXELS = 1 << 30  # a larger file counts as a decompression bomb, unless the caller allows more


@dataclass(frozen=True)
class Raster:
    """A decoded page. values: (H, W) gray or (H, W, 3) RGB code values; alpha: (H, W) of the same type, or None."""

    values: Any
    alpha: Any
    profile: profiles.Profile
    losses: tuple[str, ...] = ()

    @property
    def bits(self) -> int:
        """8 or 16."""
        return 8 * int(self.values.dtype.itemsize)


@contextmanager
def refusing_damage(name: str) -> Iterator[None]:
    """A context in which what decoders raise becomes a SourceError of one line."""
    try:
        yield
    except SourceError:
        raise
    except MemoryError as error:
        raise SourceError(
            f"{name}: the picture does not fit in memory. Save it as TIFF, which is read in parts."
        ) from error
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:  # from the system, not from a decoder
            raise unreadable(name, error) from error
        what = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(f"{name}: damaged or not a picture of its kind ({what[:120]}). Copy it again.") from error


def raster_from_image(image: Image.Image, *, icc: bytes | None = None) -> Raster:
    """Decode a Pillow image of any mode."""
    icc = icc or image.info.get("icc_profile")
    losses: tuple[str, ...] = ()
    if image.mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        losses = (f"{image.mode} color was converted to sRGB: colored pictures are RGB.",)
        image, icc = convert_to_srgb(image, icc), None
    if image.mode in ("I", "F", "I;16B", "I;16L"):
        values = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
        return Raster(values, None, profiles.read_profile(icc), losses)
    if image.mode == "I;16":
        return Raster(np.asarray(image).astype(np.uint16), None, profiles.read_profile(icc), losses)
    plain = _plain_mode(image)
    image = image if image.mode == plain else image.convert(plain)  # convert copies even where nothing changes
    if image.mode == "RGB" and profiles.read_profile(icc).is_understood:
        red, green, blue = image.split()
        if all(ImageChops.difference(green, other).getbbox() is None for other in (red, blue)):
            return raster_from_array(np.asarray(green), icc, losses)  # a fifth of the memory traffic
    return raster_from_array(np.asarray(image), icc, losses)


def raster_from_array(values: Any, icc: bytes | None, losses: tuple[str, ...] = ()) -> Raster:
    """A raster of code values (H, W) or (H, W, 1..4): gray, gray and alpha, RGB, RGB and alpha."""
    alpha = None
    if values.ndim == 3 and values.shape[2] in (2, 4):
        values, alpha = values[..., :-1], np.ascontiguousarray(values[..., -1])
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    values = np.ascontiguousarray(values)
    profile = profiles.read_profile(icc)
    if profile.is_understood:
        return Raster(values, alpha, profile, losses)
    if values.dtype != np.uint8:
        lost = "The color profile has no single tone curve: 16-bit codes were read as sRGB."
        return Raster(values, alpha, profiles.Profile(), (*losses, lost))
    lost = "The color profile has no single tone curve: the picture was converted to sRGB."
    converted = np.asarray(convert_to_srgb(Image.fromarray(values), icc))
    return Raster(converted, alpha, profiles.Profile(), (*losses, lost))


def _plain_mode(image: Image.Image) -> str:
    has_alpha = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "La", "RGBa")
    is_gray = image.mode in ("1", "L", "LA", "La")
    return {(True, True): "LA", (True, False): "L", (False, True): "RGBA", (False, False): "RGB"}[is_gray, has_alpha]


def convert_to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Convert an image of any mode to sRGB, by its profile where that is usable."""
    try:
        if icc:
            source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            done = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if done is not None:
                return done
    except ImageCms.PyCMSError:
        pass  # a profile of another color space, or a broken one
    return image.convert("RGB")


def gray_of(raster: Raster) -> Gray:
    """The gray that is painted: the codes where all channels are equal, else each pixel's luminance.

    (H, W): codes of the raster's depth; uint16 codes for 8-bit RGB with color; light 0..1 as float32 for 16-bit color.
    """
    values = raster.values
    if values.ndim == 2:
        return np.asarray(values)
    red, green, blue = cv2.split(values)
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return np.asarray(green)
    return luminance(values, raster.profile.space)


def luminance(values: Any, space: RgbSpace) -> Gray:
    """RGB codes (r, W, 3) -> gray of equal luminance: uint16 codes for 8-bit RGB, light as float32 for 16-bit."""
    bits = 8 * values.dtype.itemsize
    light = space.light(bits)
    tables = [np.float32(weight) * light.astype(np.float32) for weight in space.rgb_to_xyz[1]]
    if bits == 16:
        return np.asarray(sum(table[values[..., channel]] for channel, table in enumerate(tables)), np.float32)
    sums: Any = None
    for channel, table in zip(cv2.split(values), tables, strict=True):
        part = look_up(channel, np.rint(table * 65000).astype(np.uint16))
        sums = part if sums is None else cv2.add(sums, part, dst=sums)
    gray = np.rint(space.codes(np.arange(1 << 16) / 65000) * 65535).astype(np.uint16)
    return np.asarray(look_up(sums, gray), np.uint16)
