"""Tries a model on a picture from the package: whether it colors, and what a frame costs here."""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vidcolor.color import Floats, gray_to_lightness
from vidcolor.errors import ModelError
from vidcolor.formats import MODEL_GRAPHS
from vidcolor.inference import mixing, weights
from vidcolor.inference.backends import open_backend, resolve_backend
from vidcolor.inference.devices import parse_devices
from vidcolor.inference.published import files
from vidcolor.inference.published.asking import PublishedBackend, make_inputs
from vidcolor.inference.settings import ModelSettings
from vidcolor.planes import network_size, shrink
from vidcolor.stills.rgb import decode
from vidcolor.system import cache

SLOW_SECONDS = 1 / 24  # a frame: slower than a film runs
LARGE_BYTES = 20_000_000  # of a file whose network may take long to prepare
REPEATS = 3  # at most; the fastest counts
ENOUGH_SECONDS = 2.0  # of repeats
MAX_AB = 200.0  # no color has so much
WEAK_AB = 1.6  # mean chroma on the test picture from which a network is said to color weakly
LEAST_LIKENESS = 0.3  # of the answer's lightness to the picture's (correlation)
_PICTURE = "astronaut-1.jpg"


@dataclass(frozen=True)
class Trial:
    """What a model did on the test picture. Saved in the cache: field names are part of the format."""

    seconds: float  # a frame, on all devices together
    size: int  # pixels: short side of what it looked at
    device: str  # for people
    warning: str = ""  # one line, or nothing


def try_model(
    model: str, *, device: str = "auto", precision: str = "auto", size: int | None = None,
    tell: Callable[[str], object] = lambda _: None,
) -> Trial:  # fmt: skip
    """Color the test picture, or read what an earlier run measured.

    tell: is called with a line before work that takes long.  Raises ModelError, DeviceError, UsageError.
    """
    path = weights.find(model)
    shown = size or weights.read_header(path).size
    resolved = resolve_backend(device, precision, is_graph=path.suffix.lower() in MODEL_GRAPHS)
    key = f"trial-{weights.identity(path)[:24]}-{shown}-{_hash_text(f'{resolved}')}"
    with suppress(OSError, ValueError, TypeError):
        return Trial(**json.loads(cache.read(key)[0]))
    if path.stat().st_size > LARGE_BYTES:
        tell(f"{path.name} is tried on a picture at {shown} pixels, once; that may take some minutes.")
    found = measure(path, device, precision, shown)
    with suppress(OSError):
        cache.write(key, [json.dumps(asdict(found)).encode()])
    return found


def verify(model: str) -> str:
    """Load a model completely, and let a published one color; gives its sha256. Raises ModelError."""
    path = weights.find(model)
    digest = weights.verify(path)
    if files.is_published(path):
        measure(path, "cpu", "auto", weights.read_header(path).size)
    return digest


def measure_seconds(settings: ModelSettings, tell: Callable[[str], object] = lambda _: None) -> float:
    """Seconds that a model or mixture takes for a frame here, all devices together.

    tell: see try_model.  Raises ModelError, DeviceError, UsageError.
    """
    return sum(
        try_model(
            part.model, device=settings.device, precision=settings.precision, size=settings.size, tell=tell
        ).seconds
        for part in mixing.parse(settings.model)
    )


def default_interval(
    settings: ModelSettings, *, is_here: bool = True, tell: Callable[[str], object] = lambda _: None
) -> int | None:
    """How often a model is asked about a film unless its user says: 1, about every frame; None, about key frames alone.

    None for a published model, or a mixture with one, that is slower here than a film runs.  is_here: whether the films
    are colored on this machine, which can be measured; else any published model counts as slow.  tell: see try_model.
    Raises ModelError, DeviceError.
    """
    if not mixing.is_published(settings.model):
        return 1
    return None if not is_here or measure_seconds(settings, tell) > SLOW_SECONDS else 1


def _hash_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def measure(path: Path, device: str, precision: str, size: int) -> Trial:
    """Color the test picture and measure. Raises ModelError for a network that does not color."""
    lightness = _test_picture(size, weights.read_header(path).multiple)
    names = parse_devices(device)
    backend = open_backend(path, names[0], precision)
    try:
        ab = backend(lightness)[0]  # compiles
        if isinstance(backend, PublishedBackend):
            _check_picture(backend, lightness)
        batch = np.concatenate([lightness] * backend.preferred_batch)
        began = time.monotonic()
        times: list[float] = []
        while len(times) < REPEATS and (not times or time.monotonic() - began < ENOUGH_SECONDS):
            start = time.monotonic()
            backend(batch)
            times.append((time.monotonic() - start) / len(batch))
    except RuntimeError as error:
        raise ModelError(f"{path}: does not run on the test picture ({' '.join(str(error).split())[:160]}).") from error
    warning = _check_colors(path, ab)
    return Trial(min(times) / len(names), size, backend.name, warning)


def _test_picture(size: int, multiple: int) -> Floats:
    """L* 0..100 of a photo, (1, 1, h, w)."""
    photo = decode(weights.models_folder() / "calibration" / _PICTURE)
    if photo is None:
        raise ModelError(f"{weights.models_folder()}: the test picture is missing; install vidcolor again.")
    gray = photo.mean(axis=2).astype(np.float32) / 255
    rows, columns = network_size(gray.shape[0], gray.shape[1], size)
    rows, columns = (-(-side // multiple) * multiple for side in (rows, columns))
    small = shrink(gray, (rows, columns))
    return np.ascontiguousarray(gray_to_lightness(small), np.float32)[None, None]


def _check_colors(path: Path, ab_2hw: Floats) -> str:
    """Raise ModelError for colors that none can be; gives a warning for weak ones, or nothing."""
    if not np.isfinite(ab_2hw).all():
        raise ModelError(f"{path}: cannot be used as a model: it gives no colors that are finite numbers.")
    greatest = float(np.abs(ab_2hw).max())
    if greatest > MAX_AB:
        return f"its a*b* go up to {greatest:.3g}, which no color has: untrained, or scaled in another way?"
    if np.abs(ab_2hw.sum(axis=0) - 1).max() < 0.02 and ab_2hw.min() >= -0.02:
        raise ModelError(f"{path}: no colorizer: its two channels add up to 1, as a segmentation's do.")
    if float(np.hypot(*ab_2hw).mean()) < WEAK_AB:
        return f"its test picture is nearly gray (a*b* up to {greatest:.1f}): untrained, or scaled in another way?"
    return ""


def _check_picture(backend: PublishedBackend, lightness: Floats) -> None:
    """Raise ModelError for a network that answers with another picture than it was shown, or in another range.

    Of kinds that answer in R'G'B', whose shapes say nothing about their task.
    """
    found = backend.found
    if found.kind.outputs != 3:
        return
    (shown, *_), (answer,) = make_inputs(found, lightness), backend.ask(lightness)
    seen = shrink(answer.mean(axis=0), shown.shape[2:]).ravel()
    likeness = float(np.corrcoef(shown[0, 0].ravel(), seen)[0, 1]) if np.ptp(seen) > 0 else 0.0
    if not likeness > LEAST_LIKENESS:
        raise ModelError(
            f"{found.path}: no colorizer: it answers the test picture with another one (their lightness correlates by"
            f" {likeness:.2f}). A network for another task?"
        )
    if found.facts.kind == "deoldify" and float(np.abs(answer).max()) < 4:
        raise ModelError(
            f"{found.path}: answers from {answer.min():.2g} to {answer.max():.2g}, where DeOldify answers 0 to 255; say"
            " its range: vidcolor models add FILE --kind lab --input rgb --range 0..1 --output rgb"
        )
