"""vidcolor for programs: films, photos, and frames on their way through somebody else's pipeline.

`import vidcolor` lends these names without importing this module; it is loaded when the first of them is used.
Options are called as on the command line and mean the same. What fails raises one of VidcolorError's kinds.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, nullcontext
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast, overload

import numpy as np
from numpy.typing import NDArray

from vidcolor.batch.observer import BatchObserver
from vidcolor.batch.options import BatchOptions
from vidcolor.batch.photos import PhotoOptions, PhotoResult, color_array, color_file, color_photo
from vidcolor.batch.report import FileResult
from vidcolor.batch.result import BatchResult
from vidcolor.choices import Others, Precision, SteadyMode
from vidcolor.color import LumaCoding, chroma_levels, luma_table
from vidcolor.errors import ShapeError, UsageError
from vidcolor.films.job import FilmOptions, FilmResult, color_film
from vidcolor.films.naming import plan
from vidcolor.films.pipeline import colored_frames
from vidcolor.frames import FilmInfo, Frame, PictureFormat, Plane
from vidcolor.inference import colorizer as networks
from vidcolor.inference.settings import ModelSettings
from vidcolor.painting.painter import Rgb
from vidcolor.planes import look_up
from vidcolor.steady import Steadiness
from vidcolor.timecode import parse_timecode

__all__ = [
    "BatchObserver",
    "BatchResult",
    "Colorizer",
    "FileResult",
    "FilmResult",
    "PhotoResult",
    "PictureFormat",
    "colorize_files",
    "colorize_film",
    "colorize_photo",
]

StrPath = str | os.PathLike[str]
Every = int | Literal["auto"]


class Colorizer:
    """A model, loaded once, for any number of films, photos and frames. A context manager; for one thread."""

    def __init__(
        self,
        model: StrPath = "default",
        *,
        device: str = "auto",
        precision: Precision = "auto",
        size: int | None = None,
        batch_size: int | None = None,
        saturation: float = 1.0,
    ) -> None:
        """model: a packaged name or a file.  device: "auto" (one GPU where there is one), "all", "cpu", or a list such
        as "cuda:0,cuda:1".  precision: "auto" takes the faster of "fp32" and "bf16"; "fp16" is for GPUs, "int8" for
        CPUs.  size: short side in pixels that the network looks at, 32 to 4096 (default: the model's own).
        batch_size: frames a device works at once, 1 or more (default: what suits it).  saturation: factor on the
        color, 0 (gray) to 4.

        Raises ModelError, DeviceError, UsageError.
        """
        self.settings = ModelSettings(os.fspath(model), device, precision, size, batch_size, float(saturation))
        self._loaded: networks.Colorizer | None = self.settings.load()

    @property
    def devices(self) -> list[str]:
        """What the network runs on, for people."""
        return self.loaded.devices

    @property
    def loaded(self) -> networks.Colorizer:
        """What the rest of the package works with; not part of the API. Raises UsageError after `close`."""
        if self._loaded is None:
            raise UsageError("this Colorizer is closed; make a new one.")
        return self._loaded

    def photo(self, picture: NDArray[Any]) -> Rgb:
        """Color for one picture; the lightness of every pixel stays, colors that it had do not.

        picture: uint8 or uint16, sRGB; (H, W), or (H, W, C): gray or RGB, alpha last where C is 2 or 4.
        Gives (H, W, 3), or (H, W, 4) with the alpha as it was, of the same type. Raises ShapeError, DeviceError.
        """
        return color_array(picture, self.loaded)

    def rgb_frames(
        self,
        grays: Iterable[Plane],
        *,
        steady: SteadyMode = "flow",
        every: Every = 1,
        shot_memory: bool = False,
    ) -> Iterator[Rgb]:
        """Gray frames of one film in, RGB frames out, in order, one for one; colors hold still and begin anew at cuts.

        grays: (H, W) each, uint8 or uint16, 0 black to 255 or 65535 white, all alike.  steady, every, shot_memory: as
        on the command line.  Gives (H, W, 3) of the same type, whose BT.709 luma is the gray's, to rounding.

        Frames are taken when results are asked for: a batch ahead, and two for telling cuts; with `every`, more.
        Raises UsageError at once; ShapeError and DeviceError where a frame is asked for.
        """
        held = _steadiness(steady, every, shot_memory)
        return self._rgb_frames(iter(grays), held)

    def chroma_planes(
        self,
        lumas: Iterable[Plane],
        picture: PictureFormat,
        *,
        steady: SteadyMode = "flow",
        every: Every = 1,
        shot_memory: bool = False,
    ) -> Iterator[tuple[Plane, Plane]]:
        """Luma planes of one film in, planes (Cb, Cr) out, for those who have a decoder and an encoder of their own.

        lumas: (H, W) code values each, of picture.dtype, in the low bits.  picture: what they mean.  Planes are of
        picture.chroma_size. Otherwise as `rgb_frames`.
        """
        held = _steadiness(steady, every, shot_memory)
        return self._chroma_planes(iter(lumas), picture, held)

    def _rgb_frames(self, grays: Iterator[Plane], held: Steadiness) -> Iterator[Rgb]:
        first = next(grays, None)
        if first is None:
            return
        if first.ndim != 2 or first.dtype not in (np.uint8, np.uint16) or not first.size:
            raise ShapeError(f"frame 0: found {first.dtype} {first.shape}, needed gray (H, W) of uint8 or uint16.")
        height, width = first.shape
        picture = PictureFormat(width, height, 8 * first.dtype.itemsize, (0, 0), full_range=True, matrix="bt709")
        for colored in self._colored(chain([first], grays), picture, held):
            yield _rgb(colored.frame.luma, colored.cb, colored.cr, picture)

    def _chroma_planes(
        self, lumas: Iterator[Plane], picture: PictureFormat, held: Steadiness
    ) -> Iterator[tuple[Plane, Plane]]:
        for colored in self._colored(lumas, picture, held):
            yield colored.cb, colored.cr

    def _colored(self, lumas: Iterator[Plane], picture: PictureFormat, held: Steadiness) -> Iterator[Any]:
        frames = (Frame(_checked(luma, number, picture), number) for number, luma in enumerate(lumas))
        return colored_frames(frames, _film_of(picture), self.loaded, held)

    def close(self) -> None:
        """Let the devices go."""
        if self._loaded is not None:
            self._loaded.close()
            self._loaded = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def colorize_film(
    source: StrPath,
    output: StrPath,
    *,
    model: StrPath | Colorizer = "default",
    device: str = "auto",
    precision: Precision = "auto",
    size: int | None = None,
    batch_size: int | None = None,
    saturation: float = 1.0,
    steady: SteadyMode = "flow",
    every: Every = 1,
    shot_memory: bool = False,
    reference: StrPath | Iterable[StrPath] = (),
    codec: str | None = None,
    crf: int = 18,
    preset: str = "veryfast",
    pix_fmt: str | None = None,
    encoder: str = "software",
    hwaccel: str = "off",
    convert_audio: str | None = None,
    drop_audio: bool = False,
    start: float | str | None = None,
    end: float | str | None = None,
    recolor: bool = False,
    fps: Fraction | float | str | None = None,
    resume: bool = True,
    overwrite: bool = False,
    on_progress: Callable[[int, int | None], None] | None = None,
    show_progress: bool = False,
) -> FilmResult:
    """Color a film as `vidcolor source -o output` does: picture, sound, subtitles and timing stay as they are.

    output: a file, or a folder that is there already.  model: a name, a file, or a Colorizer that is loaded; that
    brings device, precision, size, batch_size and saturation with it (their values: see Colorizer).
    steady: "off", "smooth" (where pixels stay alike) or "flow" (along the motion).  every: ask the network about one
    frame in N, 1 to 120, or "auto".  shot_memory: a shot that comes back gets its colors again.  reference: stills in
    color that their shots follow: files, folders of them, or a list of times and stills.
    codec: "h264", "hevc", "av1", "vp9", "prores" or "ffv1" (default: h264; in WebM av1).  crf: 0 (best) to 63.
    preset: "ultrafast" to "veryslow".  pix_fmt: FFmpeg's name (default: the film's depth and subsampling).
    encoder: "software", "hardware" (any chip), "nvenc", "qsv", "amf" or "videotoolbox".  hwaccel: what decodes: "off",
    "auto", "cuda", "videotoolbox", "d3d12va", "d3d11va", "dxva2", "vaapi", "vdpau" or "vulkan".  convert_audio: "aac"
    or "opus", for sound that the container cannot hold as it is.  drop_audio: leave all sound out.
    start, end: seconds, or text such as "1:00" or "0:01:30.5".  recolor: what is in color already, too; else such a
    film is copied, and such shots stay as they are.  fps: `source` is a folder or pattern of numbered pictures.
    on_progress: told how many frames of the output there are, and of how many, None where that is unknown; what it
    raises stops the work.  show_progress: draw a bar, in a terminal or a notebook.

    The output gets its name when it is complete. Whatever stops it, the same call, or the command with the same
    options, goes on from there; resume=False begins anew.

    Raises SourceError (also where there is no such file), SinkError (the output exists and overwrite is False; or an
    earlier run was another and resume is True), ModelError, DeviceError, UsageError.
    """
    path = Path(source) if fps is None else _sequence(Path(source), fps)
    (job,) = plan([path], os.fspath(output))
    loaded, settings = _model(model, device, precision, size, batch_size, saturation)
    options = FilmOptions(
        settings, steady, None if every == "auto" else every, shot_memory, _paths(reference), codec, crf, preset,
        pix_fmt, encoder, hwaccel, convert_audio, drop_audio, _seconds(start), _seconds(end), recolor, resume,
        overwrite,
    )  # fmt: skip
    progress = _Progress(source, "frame", show_progress, on_progress)
    with ExitStack() as stack:
        stack.callback(progress.close)

        def load() -> networks.Colorizer:
            return stack.enter_context(_open(loaded, settings)).loaded

        return color_film(
            job.source, job.target, options, load,
            on_start=lambda start: progress.start(start.frames, start.done_before), on_frame=progress.advance,
        )  # fmt: skip


def colorize_files(
    inputs: StrPath | Iterable[StrPath],
    output: StrPath,
    *,
    model: StrPath | Colorizer = "default",
    device: str = "auto",
    precision: Precision = "auto",
    size: int | None = None,
    batch_size: int | None = None,
    saturation: float = 1.0,
    steady: SteadyMode = "flow",
    every: Every = 1,
    shot_memory: bool = False,
    reference: StrPath | Iterable[StrPath] = (),
    codec: str | None = None,
    crf: int = 18,
    preset: str = "veryfast",
    pix_fmt: str | None = None,
    encoder: str = "software",
    hwaccel: str = "off",
    convert_audio: str | None = None,
    drop_audio: bool = False,
    recolor: bool = False,
    others: Others = "copy",
    nested: bool = True,
    quality: int | None = None,
    subsampling: str | None = None,
    largest_photo: float = 1000.0,
    cluster: str | None = None,
    resume: bool = True,
    overwrite: bool = False,
    observer: BatchObserver | None = None,
    show_progress: bool = False,
) -> BatchResult:
    """Color many photos and films as `vidcolor inputs -o output` does: tree, names, formats and metadata stay.

    inputs: folders, single files and patterns such as "scans/**/*.tif", or one zip or tar archive.  output: a folder,
    or an archive by its suffix: .zip, .cbz, .tar, .tar.gz, .tar.xz, .tar.bz2, .tar.zst.  A report lies in it, or beside
    an archive.
    others: files that are neither photos nor films: "copy" or "skip".  nested: color what is in archives in a folder.
    recolor: what is in color already, too.  quality: 1 to 100, of lossy photo formats (default: the source's).
    subsampling: "4:4:4", "4:2:2" or "4:2:0", of JPEG (default: the source's).  largest_photo: megapixels; larger pages
    fail.  cluster: the address of a Ray cluster, or "auto"; it takes no Colorizer.  The others: see colorize_film.
    observer: told what happens, file by file; what it raises stops the work.  show_progress: draw a bar, in a terminal
    or a notebook, instead of an observer.

    One bad file never stops the others: it is "failed" in the result, and is_complete is False. Whatever stops the
    work, the same call, or the command with the same options, goes on from there.

    Raises SourceError, SinkError, ModelError, DeviceError, UsageError, where nothing can be done at all, or no more.
    """
    from vidcolor.batch.files import colorize_files as run

    if show_progress:
        if observer is not None:
            raise UsageError("show_progress is an observer of its own; give one or the other.")
        observer = _BatchProgress(output)
    loaded, settings = _model(model, device, precision, size, batch_size, saturation)
    films = FilmOptions(
        settings, steady, None if every == "auto" else every, shot_memory, _paths(reference), codec, crf, preset,
        pix_fmt, encoder, hwaccel, convert_audio, drop_audio, recolor=recolor, resume=resume, overwrite=overwrite,
    )  # fmt: skip
    photos = PhotoOptions(recolor, quality, subsampling, largest_photo, overwrite)
    options = BatchOptions(films, photos, others, nested, cluster)
    paths = _paths(inputs)
    if cluster is None:
        colorizer = loaded.loaded if loaded is not None else None
        return run(paths, Path(output), options, colorizer=colorizer, observer=observer)
    if loaded is not None:
        raise UsageError("a cluster loads models on its own machines; name the model instead of giving a Colorizer.")
    from vidcolor.cluster import cluster_workers

    options = options.for_other_machines()
    with cluster_workers(paths, options) as open_workers:
        return run(paths, Path(output), options, open_workers=open_workers, observer=observer)


@overload
def colorize_photo(
    source: StrPath | NDArray[Any],
    output: None = None,
    *,
    model: StrPath | Colorizer = "default",
    device: str = "auto",
    precision: Precision = "auto",
    size: int | None = None,
    saturation: float = 1.0,
) -> Rgb: ...


@overload
def colorize_photo(
    source: StrPath,
    output: StrPath,
    *,
    model: StrPath | Colorizer = "default",
    device: str = "auto",
    precision: Precision = "auto",
    size: int | None = None,
    saturation: float = 1.0,
    recolor: bool = False,
    quality: int | None = None,
    subsampling: str | None = None,
    largest_photo: float = 1000.0,
    overwrite: bool = False,
) -> PhotoResult: ...


def colorize_photo(
    source: StrPath | NDArray[Any],
    output: StrPath | None = None,
    *,
    model: StrPath | Colorizer = "default",
    device: str = "auto",
    precision: Precision = "auto",
    size: int | None = None,
    saturation: float = 1.0,
    recolor: bool = False,
    quality: int | None = None,
    subsampling: str | None = None,
    largest_photo: float = 1000.0,
    overwrite: bool = False,
) -> Rgb | PhotoResult:
    """Color a photo: a file into a file of the same format, or an array, or a file's first picture, as an array.

    Into a file, as `vidcolor source -o output` does it: a photo that has colors is kept, unless recolor.  An array is
    as Colorizer.photo takes it; that of a file is upright, in the file's own color profile, and is painted anew
    whatever colors it had.  model: a name, a file, or a Colorizer that is loaded, which brings device, precision, size
    and saturation with it.  largest_photo: megapixels.

    Raises SourceError, SinkError (the output exists and overwrite is False), UsageError, ModelError, DeviceError,
    ShapeError.
    """
    options = PhotoOptions(recolor, quality, subsampling, largest_photo, overwrite)
    if isinstance(source, np.ndarray) and output is not None:
        raise UsageError(f"{os.fspath(output)}: an array is given back, not written. Leave the output away.")
    loaded, settings = _model(model, device, precision, size, None, saturation)
    with _open(loaded, settings) as colorizer:
        if isinstance(source, np.ndarray):
            return colorizer.photo(source)
        if output is None:
            return color_file(Path(source), options, colorizer.loaded)
        return color_photo(Path(source), Path(output), options, colorizer.loaded)


def _model(
    model: StrPath | Colorizer,
    device: str,
    precision: Precision,
    size: int | None,
    batch_size: int | None,
    saturation: float,
) -> tuple[Colorizer | None, ModelSettings]:
    """The Colorizer that the caller has loaded, and which model it is, or is to be."""
    if not isinstance(model, Colorizer):
        return None, ModelSettings(os.fspath(model), device, precision, size, batch_size, float(saturation))
    if (device, precision, size, batch_size, saturation) != ("auto", "auto", None, None, 1.0):
        raise UsageError("a Colorizer brings device, precision, size, batch_size, saturation with it: say them there.")
    return model, model.settings


def _open(loaded: Colorizer | None, settings: ModelSettings) -> "Colorizer | nullcontext[Colorizer]":
    """What closes itself if it was opened here."""
    if loaded is not None:
        return nullcontext(loaded)
    return Colorizer(
        settings.model, device=settings.device, precision=cast(Precision, settings.precision), size=settings.size,
        batch_size=settings.batch_size, saturation=settings.saturation,
    )  # fmt: skip


def _steadiness(mode: SteadyMode, every: Every, shot_memory: bool) -> Steadiness:
    checked = FilmOptions(steady=mode, every=None if every == "auto" else every, shot_memory=shot_memory)
    return Steadiness(checked.steady, checked.every, checked.shot_memory)


def _checked(luma: Plane, number: int, picture: PictureFormat) -> Plane:
    if luma.shape != (picture.height, picture.width) or luma.dtype != picture.dtype:
        needed = f"{np.dtype(picture.dtype)} {(picture.height, picture.width)}"
        raise ShapeError(f"frame {number}: found {luma.dtype} {luma.shape}, needed {needed} as the film has it.")
    return luma


def _film_of(picture: PictureFormat) -> FilmInfo:
    """A film of nothing but frames."""
    return FilmInfo(
        path="", container="", codec="", pixel_format="", picture=picture, time_base=Fraction(1), frame_rate=None,
        frame_count=None, duration_seconds=None, sample_aspect_ratio=None, rotation_degrees=0,
        field_order="progressive", streams=(), chapters=0, metadata={},
    )  # fmt: skip


def _rgb(luma: Plane, cb: Plane, cr: Plane, picture: PictureFormat) -> Rgb:
    """Planes of full size as R'G'B' of the same depth: (H, W, 3)."""
    levels = look_up(luma, luma_table(picture.bits, picture.full_range))
    coding = LumaCoding(picture.matrix, picture.transfer)
    channels = coding.ycc_to_rgb(levels, chroma_levels(cb, picture), chroma_levels(cr, picture))
    top = np.float32((1 << picture.bits) - 1)
    rgb: Rgb = np.stack([np.clip(np.rint(v * top), 0, top).astype(picture.dtype) for v in channels], axis=2)
    return rgb


def _sequence(source: Path, fps: Fraction | float | str) -> Path:
    from vidcolor.media.sequences import sequence_address

    try:
        rate = Fraction(str(fps)).limit_denominator(100_000)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"{fps!r} is no rate; write 24, 23.976 or 24000/1001.") from error
    return sequence_address(source, rate)


class _Progress:
    """A bar, if one is wanted, and whoever else is told how far a job is."""

    def __init__(
        self, name: StrPath, unit: str, is_shown: bool, on_progress: Callable[[int, int | None], None] | None = None
    ) -> None:
        self._name, self._unit, self._is_shown, self._on_progress = os.fspath(name), unit, is_shown, on_progress
        self._total: int | None = None
        self._bar: Any = None

    def start(self, total: int | None, done_before: int = 0) -> None:
        """Draw the bar. done_before: how many an earlier run did, at no cost in this one."""
        self._total = total
        if self._is_shown:
            from tqdm.auto import tqdm

            self._bar = tqdm(desc=self._name, total=total, initial=done_before, unit=self._unit, dynamic_ncols=True)

    def advance(self, done: int) -> None:
        """So many are done in all."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        if self._on_progress is not None:
            self._on_progress(done, self._total)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


class _BatchProgress(BatchObserver):
    """A bar of files."""

    def __init__(self, output: StrPath) -> None:
        self._progress, self._done = _Progress(output, "file", is_shown=True), 0

    def batch_started(self, total: int | None) -> None:
        self._progress.start(total)

    def file_finished(self, *_: object, **__: object) -> None:
        self._done += 1
        self._progress.advance(self._done)

    def batch_finished(self, result: BatchResult) -> None:  # noqa: ARG002
        self._progress.close()


def _seconds(time: float | str | None) -> float | None:
    if not isinstance(time, str):
        return None if time is None else float(time)
    try:
        return parse_timecode(time)
    except ValueError as error:
        raise UsageError(f"{time!r} {error}") from error


def _paths(paths: StrPath | Iterable[StrPath]) -> tuple[Path, ...]:
    return tuple(map(Path, [paths] if isinstance(paths, str | os.PathLike) else paths))
