"""The Colorizer: luma planes to chroma planes, with sizes, padding, devices, batches and their inverse.

Shapes: B batch, H W the film's pixels, h w the network's pixels.
"""

import os
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np

from vidcolor import color
from vidcolor.color import Floats, LumaCoding
from vidcolor.errors import DeviceError, ModelError, ShapeError, UsageError
from vidcolor.frames import PictureFormat, Plane
from vidcolor.inference import mixing, weights
from vidcolor.inference.devices import Backend, OutOfMemoryError, parse_devices
from vidcolor.inference.listening import SIDE, Known, Listener, Look, listened_model, resize
from vidcolor.inference.palettes import read_bias
from vidcolor.planes import GRID, look_up, network_size, shrink

PAINT_ROUNDS = 4  # of the iteration for exact chroma: within 0.04 of an 8-bit code of CHROMA_ROUNDS
STRIP_PIXELS = 1 << 14  # painted at once: temporaries stay in the CPU cache, which halves the time
MAX_SIZE = 4096  # pixels; no model is trained for more, and memory runs out
MAX_SATURATION = 4.0
MAX_AB = 1000.0  # of a network's answer; far beyond every color, and far from overflow


@dataclass(frozen=True)
class View:
    """How a stored picture is displayed; the network's input is upright and undistorted."""

    sample_aspect_ratio: Fraction = Fraction(1)
    quarter_turns: int = 0  # anticlockwise, from stored to upright

    def network_size(self, picture: PictureFormat, short_side: int) -> tuple[int, int]:
        """Rows and columns of the network's input in the stored orientation, for its `short_side`."""
        display_width = picture.width * float(self.sample_aspect_ratio or 1)
        return network_size(picture.height, display_width, short_side)


class Colorizer:
    """A model on one or several devices: luma planes in, a*b* or chroma planes out."""

    def __init__(
        self,
        backends: Sequence[Backend],
        header: weights.ModelHeader,
        *,
        size: int | None = None,
        batch_size: int | None = None,
        saturation: float = 1.0,
    ):
        """backends: replicas of one model.  size: short side of the network's input in pixels (default: the
        model's own).  batch_size: frames in a device's batch.  saturation: factor on a*b*, 0 to 4.

        Raises UsageError.
        """
        if not 0 <= saturation <= MAX_SATURATION:  # NaN neither
            raise UsageError(f"saturation {saturation}: needs 0 (gray) to {MAX_SATURATION:g}; 1 is the model's own.")
        if size is not None and not GRID <= size <= MAX_SIZE:
            raise UsageError(f"size {size}: the network looks at {GRID} to {MAX_SIZE} pixels; {header.size} is usual.")
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"batch size {batch_size}: needs to be 1 or more.")
        self.header = header
        self.size = size or header.size
        self.saturation = saturation
        self._backends = list(backends)
        self._batches = [batch_size or backend.preferred_batch for backend in backends]
        self._open_listener: Callable[[], Listener] | None = None
        self._listener: Listener | None = None  # opened when it is first asked
        self._bias_K: Floats | None = None  # of a palette, see palettes
        self._looks_for_itself = False  # whether the listener's network is this model, at this size
        self._process = os.getpid()
        self._pool = ThreadPoolExecutor(len(self._backends), thread_name_prefix="device")

    @classmethod
    def load(
        cls,
        model: str = "default",
        *,
        device: str = "auto",
        precision: str = "auto",
        size: int | None = None,
        batch_size: int | None = None,
        saturation: float = 1.0,
        palette: Path | None = None,
    ) -> Self:
        """model: a name, a file, or a mixture of them, see mixing.  device: see devices.parse_devices.  palette: a
        photo, see palettes.  The rest: see __init__.

        Raises ModelError, DeviceError, UsageError; SourceError for a palette that cannot be read.
        """
        header = mixing.read_header(model)
        backends = [mixing.open_model(model, name, precision) for name in parse_devices(device)]
        loaded = cls(backends, header, size=size, batch_size=batch_size, saturation=saturation)
        loaded._open_listener = partial(Listener, parse_devices(device)[0], precision)
        is_packaged = [part.path for part in mixing.parse(model)] == [listened_model()]
        loaded._looks_for_itself = is_packaged and loaded.size == SIDE and precision != "int8"
        return loaded if palette is None else loaded.with_palette(palette)

    def with_palette(self, palette: Path | None) -> Self:
        """A Colorizer with the same networks and another palette. The two must not be used at the same time.

        Raises SourceError.
        """
        found = self.with_settings(size=self.size, saturation=self.saturation)
        found._bias_K = None if palette is None else read_bias(palette, self.listener)
        return found

    def with_settings(self, *, size: int | None, saturation: float) -> Self:
        """A Colorizer with the same networks and other settings. The two must not be used at the same time."""
        found = type(self)(self._backends, self.header, size=size, saturation=saturation)
        found._open_listener, found._listener, found._bias_K = self._open_listener, self._listener, self._bias_K
        found._looks_for_itself = self._looks_for_itself and found.size == SIDE
        return found

    @property
    def batch_size(self) -> int:
        """Frames in the batches of all devices together."""
        return sum(self._batches)

    @property
    def devices(self) -> list[str]:
        """The backend of each replica, for display."""
        return [backend.name for backend in self._backends]

    def lightness(self, luma: Plane, picture: PictureFormat, view: View = View()) -> Floats:
        """The network's input for a luma plane (H, W): L* 0..100, (h, w), upright."""
        if luma.shape != (picture.height, picture.width):
            raise ShapeError(f"luma is {luma.shape}, the film is {(picture.height, picture.width)}.")
        small = shrink(luma, view.network_size(picture, self.size))
        coding = LumaCoding(picture.matrix, picture.transfer)
        table = color.lightness_table(picture.bits, picture.full_range, coding)
        return np.ascontiguousarray(np.rot90(look_up(small, table), view.quarter_turns))

    def predict(self, lightness_Bhw: Sequence[Floats]) -> list[Floats]:
        """L* pictures of one size (h, w) -> their a*b*, each (2, h/stride, w/stride), in order.

        Batches are split over the devices; one that does not fit is halved until it does.
        Raises DeviceError when a device cannot hold a single frame, or in a process forked after the model was loaded;
        ModelError where a*b* are not finite.
        """
        self._refuse_forks()
        if not lightness_Bhw:
            return []
        batch_B1hw = np.stack(lightness_Bhw)[:, None]
        h, w = batch_B1hw.shape[2:]
        margin_h, margin_w = -h % self.header.multiple, -w % self.header.multiple
        if margin_h or margin_w:
            batch_B1hw = np.pad(batch_B1hw, ((0, 0), (0, 0), (0, margin_h), (0, margin_w)), mode="edge")
        share = -(-len(batch_B1hw) // len(self._backends))
        parts = [batch_B1hw[start : start + share] for start in range(0, len(batch_B1hw), share)]
        done = self._pool.map(self._run, range(len(parts)), parts)
        results: list[Floats] = [ab for part in done for ab in part]
        if not all(np.isfinite(ab).all() for ab in results):
            raise ModelError(
                f"model {self.header.name!r} gives colors that are not finite numbers. Try --precision fp32, or another"
                " model."
            )
        stride = batch_B1hw.shape[2] // results[0].shape[1]
        kept = [np.clip(ab[:, : -(-h // stride), : -(-w // stride)], -MAX_AB, MAX_AB) for ab in results]
        return self._finish(lightness_Bhw, kept)

    def _finish(self, lightness_Bhw: Sequence[Floats], ab_B2hw: Sequence[Floats]) -> list[Floats]:
        """A network's colors with the palette and the saturation."""
        found = list(ab_B2hw)
        if self._bias_K is not None:
            moved = self.listener.tint(lightness_Bhw, self._bias_K)
            found = [ab + resize(each, *ab.shape[1:]) for ab, each in zip(found, moved, strict=True)]
        return found if self.saturation == 1 else [ab * np.float32(self.saturation) for ab in found]

    @property
    def can_listen(self) -> bool:
        """Whether `look` and `guide` can be used: a model was loaded."""
        return self._open_listener is not None

    @property
    def listener(self) -> Listener:
        """What describes pictures, and spreads known colors: of whatever model. Raises ModelError, DeviceError."""
        if self._listener is None:
            if self._open_listener is None:
                raise ModelError(f"model {self.header.name!r}: was not loaded from a file; it has no listener.")
            self._listener = self._open_listener()
        return self._listener

    def predict_and_look(self, lightness_Bhw: Sequence[Floats]) -> tuple[list[Floats], list[Look]]:
        """`predict`, and a look at each picture for matching and guiding; one run of the network where it can be one.

        Raises as `predict`, and ModelError where no model was loaded.
        """
        self._refuse_forks()
        looks = self.listener.look(lightness_Bhw)
        if not self._is_listener:
            return self.predict(lightness_Bhw), looks
        return self._finish(lightness_Bhw, [look.ab_2hw for look in looks]), looks

    def predict_and_liken(
        self, lightness_Bhw: Sequence[Floats], keys: Collection[int]
    ) -> tuple[list[Floats], dict[int, Floats]]:
        """`predict`, and the likenesses (see networks.likeness) of the pictures at some places.

        Raises as `predict_and_look`.
        """
        self._refuse_forks()
        if self._is_listener:
            pairs = self.listener.liken(lightness_Bhw)
            colors = self._finish(lightness_Bhw, [ab for ab, _ in pairs])
            return colors, {place: pairs[place][1] for place in keys}
        chosen = sorted(keys)
        found = self.listener.liken([lightness_Bhw[place] for place in chosen]) if chosen else []
        likeness = {place: each for place, (_, each) in zip(chosen, found, strict=True)}
        return self.predict(lightness_Bhw), likeness

    @property
    def _is_listener(self) -> bool:
        """Whether the listener's network is this model, and as quick: then it is the only one to run."""
        return self._looks_for_itself and len(self._backends) == 1 and self.listener.is_quick

    def guide(self, lightness_Bhw: Sequence[Floats], ab_B2hw: Sequence[Floats], known: Sequence[Known]) -> list[Known]:
        """Correct predictions by known colors; see Listener.guide."""
        if all(told.is_empty for told in known):
            return [Known(ab, np.zeros(ab.shape[1:], np.float32)) for ab in ab_B2hw]
        return self.listener.guide(self.listener.look(lightness_Bhw), ab_B2hw, known)

    def _run(self, device: int, part_B1hw: Floats) -> list[Floats]:
        done: list[Floats] = []
        while len(done) < len(part_B1hw):
            batch = part_B1hw[len(done) : len(done) + self._batches[device]]
            try:
                done.extend(self._backends[device](np.ascontiguousarray(batch)))
            except OutOfMemoryError as error:
                if len(batch) == 1:
                    raise DeviceError(f"{error} Not one frame fits: try a smaller --size or --device cpu.") from error
                self._batches[device] = len(batch) // 2
        return done

    def colorize(
        self, lumas: Sequence[Plane], picture: PictureFormat, view: View = View()
    ) -> list[tuple[Plane, Plane]]:
        """Luma planes (H, W) -> chroma planes (Cb, Cr) of each."""
        lightness = [self.lightness(luma, picture, view) for luma in lumas]
        return [paint(luma, ab, picture, view) for luma, ab in zip(lumas, self.predict(lightness), strict=True)]

    def _is_forked(self) -> bool:
        return os.getpid() != self._process

    def _refuse_forks(self) -> None:
        if self._is_forked():
            raise DeviceError(
                "this Colorizer was loaded before the process forked, and its threads stayed behind. Load one in each"
                " process, or start processes with multiprocessing's 'spawn'."
            )

    def close(self) -> None:
        """Stop the device threads."""
        if not self._is_forked():
            self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def paint(luma: Plane, ab_2hw: Floats, picture: PictureFormat, view: View = View()) -> tuple[Plane, Plane]:
    """Compute chroma planes (Cb, Cr) of picture.chroma_size that give `luma` the colors a*b*.

    luma: (H, W) code values.  ab: (2, h, w) at any size, upright as the network's output.
    Chroma is exact where a*b* is known, divided by its gain at that luma, and enlarged by bicubic interpolation; at
    full size it is multiplied by the gain and clipped to the gamut of the unchanged luma.
    """
    coding = LumaCoding(picture.matrix, picture.transfer)
    levels = color.luma_table(picture.bits, picture.full_range)
    gain = color.chroma_gain_table(picture.bits, picture.full_range, coding)
    a, b = (np.rot90(plane, -view.quarter_turns) for plane in ab_2hw)
    rows, columns = picture.chroma_size
    codes = shrink(luma, (rows, columns))
    coarse_codes = shrink(codes if rows > a.shape[0] else luma, a.shape)
    coarse = coding.chroma(look_up(coarse_codes, levels), a, b, rounds=PAINT_ROUNDS)
    fine = [
        _enlarge((chroma / look_up(coarse_codes, gain)).astype(np.float32), buffer)
        for chroma, buffer in zip(coarse, _buffers(rows, columns), strict=True)
    ]
    planes: list[Any] = [np.empty((rows, columns), picture.dtype) for _ in fine]
    height = max(1, STRIP_PIXELS // columns)
    for strip in (slice(top, top + height) for top in range(0, rows, height)):
        shades = codes[strip]
        cb, cr = (chroma[strip] * look_up(shades, gain) for chroma in fine)
        color.shrink_to_gamut(coding, look_up(shades, levels), cb, cr)
        for plane, chroma in zip(planes, (cb, cr), strict=True):
            plane[strip] = color.chroma_codes(chroma, picture)
    return planes[0], planes[1]


def _enlarge(plane: Floats, out: Floats) -> Floats:
    """Enlarge by bicubic interpolation up to 4 times; beyond that linear, which is as good and faster."""
    if out.shape[0] <= 8 * plane.shape[0]:
        return np.asarray(cv2.resize(plane, out.shape[::-1], dst=out, interpolation=cv2.INTER_CUBIC), np.float32)
    larger = cv2.resize(plane, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(larger, out.shape[::-1], dst=out, interpolation=cv2.INTER_LINEAR), np.float32)


_kept = threading.local()


def _buffers(rows: int, columns: int) -> list[Floats]:
    """Two buffers of this thread, reused for every frame: allocating costs more than computing."""
    buffers: list[Floats] = getattr(_kept, "buffers", [])
    if not buffers or buffers[0].shape != (rows, columns):
        _kept.buffers = buffers = [np.empty((rows, columns), np.float32) for _ in range(2)]
    return buffers
