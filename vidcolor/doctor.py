"""Checks of this machine: packages, devices, models, folders, encoders, and a self-test on a tiny film.

Modules are imported inside the checks, so that a broken package becomes a finding.
"""

import errno
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vidcolor import __version__
from vidcolor.choices import CODECS, HW_CODECS, HW_DECODERS
from vidcolor.counts import counted
from vidcolor.errors import SourceError, VidcolorError
from vidcolor.inference import library, weights
from vidcolor.system import cache, limits, packages

if TYPE_CHECKING:
    from vidcolor.frames import Plane

State = Literal["good", "note", "bad"]  # note: something optional is missing

REQUIRED_PACKAGES = {  # usual name: distribution, module
    "PyAV": ("av", "av"), "OpenVINO": ("openvino", "openvino"), "torch": ("torch", "torch"),
    "NumPy": ("numpy", "numpy"), "OpenCV": ("opencv-python-headless", "cv2"), "Pillow": ("pillow", "PIL"),
}  # fmt: skip
WITHOUT_TORCH = "not installed; for GPUs, training, export and weights of published colorizers"
CONFLICTING_PACKAGES = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)  # they write the same files as OpenCV
EXTRAS = {  # extra of pyproject.toml -> its modules, and their purpose
    "cluster": (("ray",), "many machines"),
    "heic": (("pillow_heif",), "HEIC photos"),
    "int8": (("nncf",), "--precision int8"),
    "metrics": (("torchmetrics", "torch_fidelity"), "evaluate --metric"),
    "models": (("spandrel", "spandrel_extra_arches"), "DDColor's weights"),
    "onnx": (("onnx", "onnxruntime"), "export to ONNX"),
    "vapoursynth": (("vapoursynth",), "clips in scripts, with Python 3.12 or newer"),
}
MIN_FREE_BYTES, LOW_FREE_BYTES = 100_000_000, 1_000_000_000  # free space: too little for any film; for a long one
ENCODED_FRAMES = 12  # for each encoder: more than any holds back
TEST_FRAMES, TEST_WIDTH, TEST_HEIGHT = 72, 640, 480
PICTURES = 2  # real pictures in the test film, one for each shot


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    topic: str  # versions, processor, graphics, models, folders, extras, encoders, decoders or self-test
    name: str  # of what was checked
    state: State  # note: something optional is missing; bad: something that films need is broken
    said: str  # what was found, for people
    advice: str = ""  # what to do about it


Check = Callable[[], Iterator[Finding]]


def list_checks(folder: Path | None = None) -> dict[str, Check]:
    """The checks by topic, in order, the self-test last.  folder: where films will be written; None: here."""
    return {
        "versions": _check_versions,
        "processor": _check_processor,
        "graphics": _check_graphics,
        "models": _check_models,
        "folders": lambda: _check_folders(folder),
        "extras": _check_extras,
        "encoders": _check_encoders,
        "decoders": _check_decoders,
        "self-test": _run_self_test,
    }


def run_check(topic: str, check: Check) -> Iterator[Finding]:
    """Run a check; a failure of the check itself is a finding too."""
    try:
        yield from check()
    except VidcolorError as error:
        yield Finding(topic, "failed", "bad", str(error))
    except Exception as error:  # a broken part must not end the other checks
        yield Finding(topic, "failed", "bad", f"{type(error).__name__}: {error}", _advise(error))


def _advise(error: Exception) -> str:
    """Advice for a check that failed."""
    if isinstance(error, ImportError):
        return "Install again what is not ok under versions."
    if isinstance(error, OSError):
        return _advise_on_folder(error, "See folders for one that can be written.")
    return limits.explain(error) or _REPORT


def _advise_on_folder(error: OSError, other: str) -> str:
    """Advice for a folder that cannot be written.  other: how to name another."""
    reasons = {
        errno.ENOSPC: "Make room on that disk. Or: ", errno.EDQUOT: "Make room in that quota. Or: ",
        errno.EROFS: "It can only be read. ", errno.EACCES: "It is another user's. ", errno.EPERM: "It is protected. ",
        errno.ENOTDIR: "Move the file that is in the way. Or: ", errno.EEXIST: "Move what is in the way. Or: ",
    }  # fmt: skip
    return reasons.get(error.errno or 0, "") + other


def verdict(findings: Sequence[Finding]) -> tuple[bool, str]:
    """Whether all that films need works, and a line that says so."""
    bad = [finding for finding in findings if finding.state == "bad"]
    notes = sum(finding.state == "note" for finding in findings)
    if bad:
        named = ", ".join(f"{finding.topic} ({finding.name})" for finding in bad)
        return False, f"{counted(len(bad), 'thing')} to mend: {named}."
    above = f" ({counted(notes, 'note')} above)" if notes else ""
    return True, f"All is well: vidcolor can color films and photos here{above}."


def _check_versions() -> Iterator[Finding]:
    yield Finding("versions", "vidcolor", "good", f"{__version__}, in {Path(__file__).parent}")
    yield Finding("versions", "Python", "good", f"{platform.python_version()}, {sys.executable}")
    yield Finding("versions", "system", "good", f"{platform.system()} {platform.release()}, {platform.machine()}")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as in load_openvino
    yield from (_check_package(name, *where) for name, where in REQUIRED_PACKAGES.items())
    conflicts = [twin for twin in CONFLICTING_PACKAGES if packages.version(twin)]
    ours = REQUIRED_PACKAGES["OpenCV"][0]
    if conflicts and packages.version(ours):
        said = f"{conflicts[0]} is installed, too: both write the same files, and removing one breaks the other"
        advice = f"pip uninstall {' '.join(conflicts)}; pip install --force-reinstall --no-deps {ours}"
        yield Finding("versions", "OpenCV twice", "note", said, advice)
    from vidcolor.media.versions import ffmpeg_version

    yield Finding("versions", "FFmpeg", "good", ffmpeg_version())


def _check_package(name: str, distribution: str, module: str) -> Finding:
    """Whether a package is installed and can be imported."""
    found = packages.version(distribution)
    if not (problem := packages.import_problem(module)):
        said = found or f"{import_module(module).__version__}, from another package"
        return Finding("versions", name, "good", said)
    if not found and name == "torch":
        return Finding("versions", name, "note", WITHOUT_TORCH, "pip install torch torchvision")
    if not found:
        return Finding("versions", name, "bad", "not installed", f"pip install {distribution}")
    said = f"{found} is installed but cannot be used ({problem})"
    return Finding("versions", name, "bad", said, f"pip install --force-reinstall --no-deps {distribution}")


def _check_processor() -> Iterator[Finding]:
    from vidcolor.inference import openvino_backend
    from vidcolor.inference.openvino_runtime import load_openvino

    core = load_openvino().Core()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = ""
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.1f} GB of memory"
    name = " ".join(str(core.get_property("CPU", "FULL_DEVICE_NAME")).split())
    yield Finding("processor", "processor", "good", f"{name}; {counted(cores, 'core')}{memory}")
    if openvino_backend.has_bf16(core):
        yield Finding("processor", "--precision auto", "good", "bf16, which this processor computes in by itself")
    else:
        said = "fp32, as this processor has no bf16 of its own and would be slower in it"
        yield Finding("processor", "--precision auto", "good", said, "--precision int8 is faster.")


def _check_graphics() -> Iterator[Finding]:
    from vidcolor.inference.devices import may_have_gpu, parse_devices

    if not may_have_gpu():
        yield Finding("graphics", "GPU", "note", "no NVIDIA driver found; networks run on the processor")
        return
    import torch

    devices = [name for name in parse_devices("all") if name != "cpu"]
    if not devices:
        said = f"none that torch {torch.__version__} can use (made for CUDA {torch.version.cuda or 'none'})"
        yield Finding("graphics", "GPU", "note", said, "See pytorch.org for a build that fits the driver.")
    for index, device in enumerate(devices):
        chip = torch.cuda.get_device_properties(index)
        said = f"{chip.name}, {chip.total_memory / 1e9:.0f} GB; --precision auto takes bf16 there"
        yield Finding("graphics", device, "good", said)


def _check_model(name: str, advice: str) -> Finding:
    """Compare a model with its card. advice: what to do where it differs."""
    try:
        path = weights.find(name)
        weights.read_header(path)
        digest, stated = weights.sha256(path), weights.card_sha256(path)
        megabytes = sum(part.stat().st_size for part in weights.files_of(path)) / 1e6
    except (VidcolorError, OSError) as error:
        return Finding("models", name, "bad", str(error), advice)
    if stated != digest:
        said = f"sha256 is {digest[:12]}..., its card says {stated[:12] or 'nothing'}..."
        return Finding("models", name, "bad", said, advice)
    return Finding("models", name, "good", f"{megabytes:.1f} MB, sha256 as on its card")


def _check_models() -> Iterator[Finding]:
    for path in weights.packaged_models():
        mine = os.access(path, os.R_OK)
        advice = "Install vidcolor again." if mine else f"Let this user read it: chmod a+r {path}"
        yield _check_model(path.stem, advice)
    for name in library.names():
        yield _check_model(name, f"Remove it and add it again: vidcolor models remove {name}")
    if not (weights.models_folder() / "default.safetensors").is_file():
        yield Finding("models", "default", "bad", f"not in {weights.models_folder()}", "Install vidcolor again.")


def _check_folders(folder: Path | None) -> Iterator[Finding]:
    yield _check_cache_folder()
    advice = "Set TMPDIR to a folder that can be written."
    try:
        yield _check_folder("temporary", Path(tempfile.gettempdir()), "bad", advice)
    except FileNotFoundError as error:  # its message lists many folders
        yield Finding("folders", "temporary", "bad", str(error.strerror), advice)
    if folder is None:
        yield _check_folder("current", Path.cwd(), "note", "Write films to another folder.")
    else:
        yield _check_folder("output", folder, "bad", "Name another folder.")


def _check_cache_folder() -> Finding:
    """Write and read a cache entry. Without a cache, films start some seconds later."""
    advice = "Set XDG_CACHE_HOME to a folder that can be written."
    name, content = f"doctor-{os.getpid()}", os.urandom(1 << 16)
    try:
        place = cache.folder()
        try:
            cache.write(name, [content])
            if cache.read(name) != (content,):
                raise ValueError(f"{place}: what is written there is not what is read")
        finally:
            with suppress(OSError):
                (place / name).unlink()
    except OSError as error:
        said = f"{error.filename}: nothing can be kept there ({error.strerror}); each run converts its network anew"
        return Finding("folders", "cache folder", "note", said, _advise_on_folder(error, advice))
    except ValueError as error:
        return Finding("folders", "cache folder", "note", f"{error}; each run converts its network anew", advice)
    return _check_folder("cache folder", place, "note", advice)


def _check_folder(name: str, folder: Path, worst: State, advice: str) -> Finding:
    """Whether a folder, or its nearest existing parent, can be written, and how much space is free."""
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=there):
            pass
        free = shutil.disk_usage(there).free
    except OSError as error:
        said = f"{folder}: cannot be written ({error.strerror})"
        return Finding("folders", name, worst, said, _advise_on_folder(error, advice))
    said, advice = f"{folder}: can be written, {free / 1e9:,.1f} GB free", f"Make room there. Or: {advice}"
    if free < MIN_FREE_BYTES:
        return Finding("folders", name, worst, said, advice)
    return Finding(
        "folders", name, "note" if free < LOW_FREE_BYTES else "good", said, advice if free < LOW_FREE_BYTES else ""
    )


def _check_extras() -> Iterator[Finding]:
    problems = packages.import_problems([module for modules, _ in EXTRAS.values() for module in modules])
    for extra, (modules, purpose) in EXTRAS.items():
        broken = {module: problems[module] for module in modules if problems[module]}
        if "not installed" in broken.values():
            advice = f"pip install 'vidcolor[{extra}]'"
            yield Finding("extras", extra, "note", f"not installed; for {purpose}", advice)
        elif broken:
            said = ", ".join(f"{module} cannot be used ({problem})" for module, problem in broken.items())
            advice = f"pip install --force-reinstall --no-deps {' '.join(broken).replace('_', '-')}"
            yield Finding("extras", extra, "note", f"{said}; for {purpose}", advice)
        else:
            yield Finding("extras", extra, "good", f"installed, for {purpose}")


def _check_encoders() -> Iterator[Finding]:
    """Encode a short film with each encoder, in software and hardware."""
    from vidcolor.media import synthetic_film
    from vidcolor.media.encoder_trial import choose_encoder
    from vidcolor.media.encoders import OutputSettings
    from vidcolor.media.hw_encoders import built_in_families
    from vidcolor.media.source import FilmSource

    with tempfile.TemporaryDirectory(prefix="vidcolor-") as name:
        film = Path(name) / "film.mkv"
        synthetic_film.make_film(film, _make_lumas(ENCODED_FRAMES))
        for codec in CODECS:
            try:
                encoder = _encode(film, codec)
                yield Finding("encoders", codec, "good", f"{encoder} works")
            except VidcolorError as error:
                yield Finding("encoders", codec, "bad" if codec == CODECS[0] else "note", str(error))
        with FilmSource(film) as source:
            for family in built_in_families():
                settled = [
                    choose_encoder(
                        source.examined, film.with_name("out.mkv"), OutputSettings(codec=codec, encoder=family)
                    )
                    for codec in HW_CODECS
                ]
                works = [
                    codec for codec, found in zip(HW_CODECS, settled, strict=True) if found.settings.encoder == family
                ]
                if works:
                    yield Finding("encoders", family, "good", f"encodes {', '.join(works)} on a chip")
                else:
                    reason = settled[0].warnings[0].partition(": ")[2]
                    yield Finding("encoders", family, "note", f"none opens: {reason}")


def _encode(film: Path, codec: str) -> str:
    """Encode the film; returns the encoder's name. Raises VidcolorError."""
    from vidcolor.frames import ColoredFrame
    from vidcolor.media.encoders import OutputSettings
    from vidcolor.media.sink import FilmSink
    from vidcolor.media.source import FilmSource

    with FilmSource(film) as source:
        sink = FilmSink(film.with_name(f"{codec}.mkv"), source, OutputSettings(codec=codec), comment="trial")
        with sink:
            for frame in source.frames():
                gray = frame.luma[::2, ::2] // 2 + 64  # any values, of the right shape
                sink.write(ColoredFrame(frame, gray, gray))
        return sink.plan.encoding.encoder


def _check_decoders() -> Iterator[Finding]:
    """Decode H.264 with each hardware decoder of this FFmpeg, and compare with the software decoder."""
    from vidcolor.media import synthetic_film
    from vidcolor.media.hw_decoders import HardwareError, choose_device
    from vidcolor.media.source import FilmSource

    with tempfile.TemporaryDirectory(prefix="vidcolor-") as name:
        film = Path(name) / "film.mkv"
        synthetic_film.make_film(film, _make_lumas(24))
        _encode(film, CODECS[0])
        with FilmSource(film.with_name(f"{CODECS[0]}.mkv")) as source:
            for device in HW_DECODERS:
                try:
                    choose_device(source.path, source.examined, device)
                    yield Finding("decoders", device, "good", "decodes H.264, every sample as the software does")
                except HardwareError as error:
                    said = str(error).removeprefix(device).strip(" ()")
                    if said != "not in this FFmpeg":
                        yield Finding("decoders", device, "note", said)
    yield Finding("decoders", "software", "good", "all that FFmpeg has")


def _run_self_test() -> Iterator[Finding]:
    """Color a gray film with sound, write it without loss, and compare it with the source."""
    from vidcolor.films.pipeline import run_pipeline
    from vidcolor.inference.colorizer import Colorizer
    from vidcolor.inference.openvino_backend import cache_problem
    from vidcolor.media import synthetic_film
    from vidcolor.media.encoders import OutputSettings
    from vidcolor.media.sink import FilmSink
    from vidcolor.media.source import FilmSource
    from vidcolor.steady import Steadiness

    with tempfile.TemporaryDirectory(prefix="vidcolor-") as name:
        before, after = Path(name) / "gray.mkv", Path(name) / "colored.mkv"
        synthetic_film.make_film(before, _make_lumas(TEST_FRAMES))
        clock: list[float] = []
        model = weights.find("default")
        before_problem = cache_problem(model, "likener")  # the network that films are colored by
        with FilmSource(before) as source, Colorizer.load() as colorizer:
            with FilmSink(after, source, OutputSettings(codec="ffv1"), comment="self-test") as sink:
                run_pipeline(source, sink, colorizer, Steadiness(), lambda _: clock.append(time.monotonic()))
            device = ", ".join(colorizer.devices)
        if device.startswith("openvino"):
            yield _check_cache_use(before_problem, cache_problem(model, "likener"))
        for kept, wrong in synthetic_film.differences(before, after):
            yield Finding("self-test", kept, "bad" if wrong else "good", wrong or _EXPECTED[kept], wrong and _REPORT)
    seconds = max(clock[-1] - clock[0], 1e-3)  # the first frame includes compiling the network
    said = f"{(len(clock) - 1) / seconds:.1f} frames a second at {TEST_WIDTH}x{TEST_HEIGHT}, without loss, {device}"
    yield Finding("self-test", "speed", "good", said)


def _check_cache_use(before: str, now: str) -> Finding:
    """Whether the converted network is cached.  before, now: problems of the cache."""
    if now:
        said = f"the converted network is not kept ({now}): each run begins some seconds later"
        return Finding("self-test", "cache", "note", said, "See the cache folder under folders.")
    if "damaged" in before:
        return Finding("self-test", "cache", "good", f"{before}, and was made anew")
    return Finding("self-test", "cache", "good", "the converted network is kept")


_EXPECTED = {
    "frames": f"all {TEST_FRAMES}, none lost or repeated",
    "timestamps": "equal, of a varying rate",
    "luma": "equal, bit for bit",
    "sound": "equal, packet for packet",
    "color": "in every frame",
}
_REPORT = "Please report this, with the whole output of `vidcolor doctor`."


def _make_lumas(count: int) -> "list[Plane]":
    """Make lumas from packaged pictures, with a moving window. Raises SourceError where they are missing."""
    from vidcolor.archives.photos import encoded
    from vidcolor.inference import calibration
    from vidcolor.stills.rgb import decode

    pictures: list[Plane] = []
    for _, content in encoded(calibration.packaged_sources()):
        rgb = decode(content, short_side=TEST_HEIGHT + 2 * count, least=TEST_WIDTH + count)
        if rgb is not None:
            pictures.append(rgb[..., 1])
        if len(pictures) == PICTURES:
            break
    if not pictures:
        raise SourceError(f"{calibration.packaged_sources()[0]}: no picture to test with. Install vidcolor again.")
    shots = [pictures[number * len(pictures) // count] for number in range(count)]
    return [shot[number : number + TEST_HEIGHT, number : number + TEST_WIDTH] for number, shot in enumerate(shots)]
