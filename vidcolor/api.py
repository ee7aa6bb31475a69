"""vidcolor for programs: films, photos, archives, and frames of your own pipeline.

`import vidcolor` offers these names without importing this module; the first use of one loads it. Arguments are named
as the options of the command line and mean the same. Every expected failure raises a VidcolorError.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from vidcolor.batch.photos import PhotoOptions, PhotoResult, colorize_array, colorize_photo_file, colorize_to_array
from vidcolor.batch.report import FileResult
from vidcolor.batch.result import BatchResult
from vidcolor.choices import Others, Precision, SteadyMode
from vidcolor.color import LumaCoding, chroma_levels, luma_table
from vidcolor.errors import ShapeError, UsageError
from vidcolor.films.job import FilmOptions, FilmResult, colorize_film_file
from vidcolor.films.naming import plan_jobs
from vidcolor.films.pipeline import colored_frames
from vidcolor.frames import FilmInfo, Frame, PictureFormat, Plane
from vidcolor.hints import Hint, hints_for, parse_hints, read_hints
from vidcolor.inference.colorizer import Colorizer as LoadedModel
from vidcolor.inference.settings import ModelSettings
from vidcolor.inference.trial import default_interval
from vidcolor.painting.painter import Rgb
from vidcolor.planes import look_up
from vidcolor.printable import printable
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
Hints = StrPath | Sequence[Mapping[str, Any]] | Mapping[str, Any] | None

MAX_LABEL = 32  # letters of a name before a bar


class Colorizer:
    """A loaded model for any number of films, photos and frames. A context manager; for one thread at a time."""

    def __init__(
        self,
        model: StrPath = "default",
        *,
        device: str = "auto",
        precision: Precision = "auto",
        size: int | None = None,
        batch_size: int | None = None,
        saturation: float = 1.0,
        palette: StrPath | None = None,
    ) -> None:
        """Load a model.

        model: a name, a model file, or a mixture of them ("a+b", "a:0.6+b:0.4").  device: "auto" (one GPU if there is
        one), "all" (GPUs), "cpu", or a list such as "cuda:0,cuda:1".  precision: "fp32", "bf16", "fp16" (GPUs), "int8"
        (CPUs) or "auto", the faster of "fp32" and "bf16".  size: short side in pixels that the network looks at, 32 to
        4096; None: the model's own.  batch_size: frames that a device works on at once, 1 or more; None: chosen by
        device.  saturation: factor on a*b*, 0 (gray) to 4.  palette: a photo whose range of colors is taken where the
        network is unsure.

        Raises ModelError, DeviceError, UsageError; SourceError for a palette that cannot be read.
        """
        self.settings = ModelSettings(
            os.fspath(model), device, precision, size, batch_size, float(saturation), _as_path(palette)
        )
        self._loaded: LoadedModel | None = self.settings.load()

    @property
    def devices(self) -> list[str]:
        """Names of what the network runs on, for people."""
        return self.loaded.devices

    @property
    def loaded(self) -> LoadedModel:
        """The colorizer that the rest of the package uses; not part of the API. Raises UsageError after `close`."""
        if self._loaded is None:
            raise UsageError("this Colorizer is closed; make a new one.")
        return self._loaded

    def colorize_array(self, picture: NDArray[Any], *, hints: Hints = None) -> Rgb:
        """Color one picture. The lightness of every pixel stays; colors that it has are replaced.

        picture: uint8 or uint16 sRGB, (H, W) gray, (H, W, 1) gray, (H, W, 2) gray and alpha, (H, W, 3) RGB or
        (H, W, 4) RGBA.  hints: see colorize_photo.  Gives (H, W, 3), or (H, W, 4) with the same alpha, of the same
        type.

        Raises ShapeError, DeviceError; UsageError after `close`, and for bad hints.
        """
        return colorize_array(picture, self.loaded, _read_hints(hints, "the array"))

    def rgb_frames(
        self,
        grays: Iterable[Plane],
        *,
        steady: SteadyMode = "shot",
        every: Every = 1,
        shot_memory: bool = False,
    ) -> Iterator[Rgb]:
        """Color the gray frames of one film: RGB frames in order, one for each. Colors are steady and restart at cuts.

        grays: (H, W) each, uint8 or uint16, 0 (black) to 255 or 65535 (white), all of one shape and type.
        steady: "off", "smooth" (where pixels stay alike), "flow" (along the motion) or "shot" (along the motion, with
        a view of the shot).  every: the network predicts one frame in N, 1 to 120, or "auto".  shot_memory: a shot that
        returns gets its colors again.
        Yields (H, W, 3) of the same type; its BT.709 luma is the gray, up to rounding.

        Input frames are read as results are asked for: one batch ahead plus two frames to detect cuts, 36 more with
        "shot", and more with `every`. Raises UsageError at once; ShapeError and DeviceError while iterating.
        """
        steadiness = _make_steadiness(steady, every, shot_memory)
        return self._rgb_frames(iter(grays), steadiness)

    def chroma_planes(
        self,
        lumas: Iterable[Plane],
        picture: PictureFormat,
        *,
        steady: SteadyMode = "shot",
        every: Every = 1,
        shot_memory: bool = False,
    ) -> Iterator[tuple[Plane, Plane]]:
        """Color the luma planes of one film: chroma planes (Cb, Cr) in order, for a decoder and encoder of your own.

        lumas: (H, W) code values each, of picture.dtype, in the low bits.  picture: what the code values mean.
        steady, every, shot_memory: see `rgb_frames`.  Yields two planes of picture.chroma_size (rows, columns) and
        picture.dtype, in picture's range.

        Input is read, and errors are raised, as by `rgb_frames`.
        """
        steadiness = _make_steadiness(steady, every, shot_memory)
        return self._chroma_planes(iter(lumas), picture, steadiness)

    def color_clip(self, clip: Any, *, steady: SteadyMode = "shot", every: Every = 1, shot_memory: bool = False) -> Any:
        """Color a VapourSynth clip: one with the same luma, whose chroma is made as frames are asked for.

        clip: a VideoNode, gray or YUV, 8 to 16 bits a sample; gray becomes 4:4:4.  steady, every, shot_memory: see
        `rgb_frames`. Colors hold still where frames are asked for in order, as vspipe does; a leap begins anew.

        Keep this Colorizer open until the last frame is made. Raises UsageError.
        """
        from vidcolor.clips import color_clip

        steadiness = _make_steadiness(steady, every, shot_memory)
        return color_clip(clip, lambda lumas, picture: self._chroma_planes(lumas, picture, steadiness))

    def _rgb_frames(self, grays: Iterator[Plane], steadiness: Steadiness) -> Iterator[Rgb]:
        first = next(grays, None)
        if first is None:
            return
        if first.ndim != 2 or first.dtype not in (np.uint8, np.uint16) or not first.size:
            raise ShapeError(f"frame 0: found {first.dtype} {first.shape}, needed gray (H, W) of uint8 or uint16.")
        height, width = first.shape
        picture = PictureFormat(width, height, 8 * first.dtype.itemsize, (0, 0), full_range=True, matrix="bt709")
        for colored in self._colorize_frames(chain([first], grays), picture, steadiness):
            yield _to_rgb(colored.frame.luma, colored.cb, colored.cr, picture)

    def _chroma_planes(
        self, lumas: Iterator[Plane], picture: PictureFormat, steadiness: Steadiness
    ) -> Iterator[tuple[Plane, Plane]]:
        for colored in self._colorize_frames(lumas, picture, steadiness):
            yield colored.cb, colored.cr

    def _colorize_frames(self, lumas: Iterator[Plane], picture: PictureFormat, steadiness: Steadiness) -> Iterator[Any]:
        frames = (Frame(_check_luma(luma, number, picture), number) for number, luma in enumerate(lumas))
        return colored_frames(frames, _film_info(picture), self.loaded, steadiness)

    def close(self) -> None:
        """Free the devices."""
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
    palette: StrPath | None = None,
    steady: SteadyMode = "shot",
    every: Every | None = None,
    shot_memory: bool = False,
    reference: StrPath | Iterable[StrPath] = (),
    hints: StrPath | None = None,
    stills_by: str | None = None,
    project: StrPath | None = None,
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
    keep_segments: bool = False,
    on_progress: Callable[[int, int | None], None] | None = None,
    show_progress: bool = False,
) -> FilmResult:
    """Color a film as `vidcolor source -o output` does: picture, sound, subtitles and timing stay as they are.

    output: a file, or an existing folder.  model: a name, a model file, a mixture of them ("a:0.6+b:0.4"), or a loaded
    Colorizer, which brings device, precision, size, batch_size, saturation and palette with it (for their values see
    Colorizer).
    steady: "off", "smooth" (where pixels stay alike), "flow" (along the motion) or "shot" (along the motion, with a
    view of the shot).  every: the network predicts one frame in N, 1 to 120, or "auto"; None: 1, or "auto" for a
    published model slower than a film.
    shot_memory: a shot that returns gets its colors again.  reference: stills in color that their shots follow: a file,
    a folder of stills, a .txt list of times and stills, or several of these.  hints: a JSON file of colors that you
    say of points, strokes and regions (vidcolor.hints).  stills_by: a command that makes a still of every shot's first
    frame, with {in} and {out} for PNG files.
    codec: "h264", "hevc", "av1", "vp9", "prores" or "ffv1"; None: h264, in WebM av1.  crf: 0 (best) to 63.
    preset: "ultrafast" to "veryslow".  pix_fmt: FFmpeg's name; None: the film's depth and subsampling.
    encoder: "software", "hardware" (any graphics chip), "nvenc", "qsv", "amf" or "videotoolbox".  hwaccel: the decoder:
    "off" (software), "auto", "cuda", "videotoolbox", "d3d12va", "d3d11va", "dxva2", "vaapi", "vdpau" or "vulkan".
    convert_audio: "aac" or "opus", for sound that the container cannot hold losslessly; None: such a film is refused.
    drop_audio: leave all sound out.
    start, end: seconds, or text such as "1:00" or "0:01:30.5"; None: the whole film.  recolor: color anew what is in
    color; False: a film in color is copied, and shots in color keep their colors.  fps: frames a second, where `source`
    is a folder or pattern of numbered pictures; None: it is a film.
    resume: continue an interrupted run; False: start over.  overwrite: replace an existing output.  keep_segments: keep
    what is encoded, so that a changed project makes only changed shots anew.
    on_progress: called with the number of output frames done, and their total (None if unknown); an exception that it
    raises stops the work.  show_progress: draw a bar in a terminal or notebook.

    The output appears under its name when it is complete. After an interruption, even a power cut, the same call, or
    the command with the same options, resumes.

    Raises SourceError (also for a missing file), SinkError (the output exists and overwrite is False, or an earlier run
    had other settings and resume is True), ModelError, DeviceError, UsageError.
    """
    path = Path(source) if fps is None else _open_sequence(Path(source), fps)
    (job,) = plan_jobs([path], os.fspath(output))
    loaded, settings = _resolve_model(model, device, precision, size, batch_size, saturation, palette)
    options = FilmOptions(
        settings, steady=steady, every=_every_option(every, settings), shot_memory=shot_memory,
        references=_as_paths(reference), hints=_as_path(hints), project=_as_path(project), stills_by=stills_by,
        codec=codec, crf=crf, preset=preset, pix_fmt=pix_fmt, encoder=encoder, hwaccel=hwaccel,
        convert_audio=convert_audio, drop_audio=drop_audio, start=_parse_seconds(start), end=_parse_seconds(end),
        recolor=recolor, resume=resume, overwrite=overwrite, keep_segments=keep_segments,
    )  # fmt: skip
    progress = _Progress(source, "frame", show_progress, on_progress)
    with ExitStack() as stack:
        stack.callback(progress.close)

        def load() -> LoadedModel:
            return stack.enter_context(_open(loaded, settings)).loaded

        return colorize_film_file(
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
    palette: StrPath | None = None,
    steady: SteadyMode = "shot",
    every: Every | None = None,
    shot_memory: bool = False,
    reference: StrPath | Iterable[StrPath] = (),
    hints: StrPath | None = None,
    stills_by: str | None = None,
    project: StrPath | None = None,
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

    inputs: folders, files and patterns such as "scans/**/*.tif", or one zip or tar archive.  output: a folder, or an
    archive by its suffix: .zip, .cbz, .tar, .tar.gz, .tar.xz, .tar.bz2, .tar.zst.  A report is written into the folder,
    or beside the archive.
    others: "copy" or "skip" files that are neither photos nor films.  nested: color the files in archives that lie in a
    folder; False: copy such archives.  recolor: color anew what is in color; False: it is kept.  quality: 1 to 100, of
    lossy photo formats; None: the source's.  subsampling: "4:4:4", "4:2:2" or "4:2:0", of JPEG; None: the source's.
    largest_photo: megapixels; photos with larger pages fail.  cluster: HOST:PORT of a Ray cluster, or "auto"; None:
    this machine. A cluster takes a model's name or file, no Colorizer.  Other arguments: see colorize_film.
    observer: receives an event for each file; an exception that it raises stops the work.  show_progress: draw a
    bar in a terminal or notebook, instead of an observer.

    One bad file never stops the others: its outcome is "failed", and the result's is_complete is False. After an
    interruption, even a power cut, the same call, or the command with the same options, resumes.

    Raises SourceError, SinkError, ModelError, DeviceError, UsageError, where the run as a whole cannot start or
    continue.
    """
    from vidcolor.batch.files import colorize_files as run

    if show_progress:
        if observer is not None:
            raise UsageError("show_progress is an observer of its own; give one or the other.")
        observer = _ProgressBarObserver(output)
    loaded, settings = _resolve_model(model, device, precision, size, batch_size, saturation, palette)
    films = FilmOptions(
        settings, steady=steady, every=_every_option(every, settings, is_here=cluster is None), shot_memory=shot_memory,
        references=_as_paths(reference), hints=_as_path(hints), project=_as_path(project), stills_by=stills_by,
        codec=codec, crf=crf, preset=preset, pix_fmt=pix_fmt, encoder=encoder, hwaccel=hwaccel,
        convert_audio=convert_audio, drop_audio=drop_audio, recolor=recolor, resume=resume, overwrite=overwrite,
    )  # fmt: skip
    photos = PhotoOptions(
        recolor=recolor, quality=quality, subsampling=subsampling, largest_photo=largest_photo, hints=_as_path(hints),
        overwrite=overwrite,
    )  # fmt: skip
    options = BatchOptions(films, photos, others=others, nested=nested, cluster=cluster)
    paths = _as_paths(inputs)
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
    palette: StrPath | None = None,
    hints: Hints = None,
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
    palette: StrPath | None = None,
    hints: Hints = None,
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
    palette: StrPath | None = None,
    hints: Hints = None,
    recolor: bool = False,
    quality: int | None = None,
    subsampling: str | None = None,
    largest_photo: float = 1000.0,
    overwrite: bool = False,
) -> Rgb | PhotoResult:
    """Color a photo: a file into a file of the same format, or a file's first page or an array into an array.

    source: a file, or an array as Colorizer.colorize_array takes it.  output: a file with the source's suffix; None:
    give an array, (H, W, 3) or (H, W, 4) with alpha, uint8 or uint16 as the source.
    A file keeps its colors if it has any, unless recolor. An array is always colored anew; that of a file is upright
    and in the file's own color profile.
    model: a packaged name, a model file, or a loaded Colorizer, which brings device, precision, size, saturation and
    palette with it (for their values see Colorizer).  hints: colors that you say of points, strokes and regions: a
    JSON file, or a list of such hints as it holds (vidcolor.hints).  quality: 1 to 100, of lossy formats; None: the
    source's.  subsampling: "4:4:4", "4:2:2" or "4:2:0", of JPEG; None: the source's.  largest_photo: megapixels;
    larger pages are refused.  overwrite: replace an existing output.

    Raises SourceError (also for a missing file), SinkError (the output exists and overwrite is False), UsageError,
    ModelError, DeviceError, ShapeError.
    """
    options = PhotoOptions(
        recolor=recolor, quality=quality, subsampling=subsampling, largest_photo=largest_photo, overwrite=overwrite
    )
    if isinstance(source, np.ndarray) and output is not None:
        raise UsageError(f"{os.fspath(output)}: an array is returned, not written. Omit output.")
    loaded, settings = _resolve_model(model, device, precision, size, None, saturation, palette)
    said = _read_hints(hints, "the array" if isinstance(source, np.ndarray) else os.fspath(source))
    with _open(loaded, settings) as colorizer:
        if isinstance(source, np.ndarray):
            return colorize_array(source, colorizer.loaded, said)
        if output is None:
            return colorize_to_array(Path(source), options, colorizer.loaded, said)
        return colorize_photo_file(Path(source), Path(output), options, colorizer.loaded, said)


def _resolve_model(
    model: StrPath | Colorizer,
    device: str,
    precision: Precision,
    size: int | None,
    batch_size: int | None,
    saturation: float,
    palette: StrPath | None,
) -> tuple[Colorizer | None, ModelSettings]:
    """The given Colorizer if the model is one, and the model's settings."""
    if not isinstance(model, Colorizer):
        return None, ModelSettings(
            os.fspath(model), device, precision, size, batch_size, float(saturation), _as_path(palette)
        )
    if (device, precision, size, batch_size, saturation, palette) != ("auto", "auto", None, None, 1.0, None):
        raise UsageError(
            "a Colorizer brings device, precision, size, batch_size, saturation and palette with it: say them there."
        )
    return model, model.settings


def _open(loaded: Colorizer | None, settings: ModelSettings) -> "Colorizer | nullcontext[Colorizer]":
    """A context manager that closes the Colorizer on exit if it was loaded here."""
    if loaded is not None:
        return nullcontext(loaded)
    return Colorizer(
        settings.model, device=settings.device, precision=cast(Precision, settings.precision), size=settings.size,
        batch_size=settings.batch_size, saturation=settings.saturation, palette=settings.palette,
    )  # fmt: skip


def _every_option(every: Every | None, settings: ModelSettings | None = None, *, is_here: bool = True) -> int | None:
    """`every` as FilmOptions takes it."""
    if every is None:
        return 1 if settings is None else default_interval(settings, is_here=is_here)
    return None if every == "auto" else every


def _make_steadiness(mode: SteadyMode, every: Every, shot_memory: bool) -> Steadiness:
    checked = FilmOptions(steady=mode, every=_every_option(every), shot_memory=shot_memory)
    return Steadiness(checked.steady, checked.every, checked.shot_memory)


def _check_luma(luma: Plane, number: int, picture: PictureFormat) -> Plane:
    if luma.shape != (picture.height, picture.width) or luma.dtype != picture.dtype:
        needed = f"{np.dtype(picture.dtype)} {(picture.height, picture.width)}"
        raise ShapeError(f"frame {number}: found {luma.dtype} {luma.shape}, needed {needed} as the film has it.")
    return luma


def _film_info(picture: PictureFormat) -> FilmInfo:
    """A FilmInfo for frames without a file."""
    return FilmInfo(
        path="", container="", codec="", pixel_format="", picture=picture, time_base=Fraction(1), frame_rate=None,
        frame_count=None, duration_seconds=None, sample_aspect_ratio=None, rotation_degrees=0,
        field_order="progressive", streams=(), chapters=0, metadata={},
    )  # fmt: skip


def _to_rgb(luma: Plane, cb: Plane, cr: Plane, picture: PictureFormat) -> Rgb:
    """Planes of full size as R'G'B' of the same depth: (H, W, 3)."""
    levels = look_up(luma, luma_table(picture.bits, picture.full_range))
    coding = LumaCoding(picture.matrix, picture.transfer)
    channels = coding.ycc_to_rgb(levels, chroma_levels(cb, picture), chroma_levels(cr, picture))
    top = np.float32((1 << picture.bits) - 1)
    rgb: Rgb = np.stack([np.clip(np.rint(v * top), 0, top).astype(picture.dtype) for v in channels], axis=2)
    return rgb


def _open_sequence(source: Path, fps: Fraction | float | str) -> Path:
    from vidcolor.media.sequences import sequence_address

    try:
        rate = Fraction(str(fps)).limit_denominator(100_000)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"{fps!r} is no rate; write 24, 23.976 or 24000/1001.") from error
    return sequence_address(source, rate)


class _Progress:
    """The progress of a job, shown in a bar or passed to a callback."""

    def __init__(
        self, name: StrPath, unit: str, is_shown: bool, on_progress: Callable[[int, int | None], None] | None = None
    ) -> None:
        self._unit, self._is_shown, self._on_progress = unit, is_shown, on_progress
        self._name = _shorten(printable(Path(name).name or os.fspath(name)))  # a bar has one line of the terminal
        self._total: int | None = None
        self._bar: Any = None

    def start(self, total: int | None, done_before: int = 0) -> None:
        """Draw the bar. done_before: how many an earlier run had done."""
        self._total = total
        if self._is_shown:
            from tqdm.auto import tqdm

            self._bar = tqdm(desc=self._name, total=total, initial=done_before, unit=self._unit, dynamic_ncols=True)

    def advance(self, done: int) -> None:
        """Show the number done so far."""
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
        if self._on_progress is not None:
            self._on_progress(done, self._total)

    def close(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()


def _shorten(name: str) -> str:
    """A name of at most MAX_LABEL letters, its middle left out."""
    return name if len(name) <= MAX_LABEL else f"{name[: MAX_LABEL // 2 - 1]}…{name[-MAX_LABEL // 2 :]}"


class _ProgressBarObserver(BatchObserver):
    """An observer that draws a bar of files."""

    def __init__(self, output: StrPath) -> None:
        self._progress, self._done = _Progress(output, "file", is_shown=True), 0

    def batch_started(self, total: int | None) -> None:
        self._progress.start(total)

    def file_finished(self, *_: object, **__: object) -> None:
        self._done += 1
        self._progress.advance(self._done)

    def batch_finished(self, result: BatchResult) -> None:  # noqa: ARG002
        self._progress.close()


def _parse_seconds(time: float | str | None) -> float | None:
    if not isinstance(time, str):
        return None if time is None else float(time)
    try:
        return parse_timecode(time)
    except ValueError as error:
        raise UsageError(f"{time!r} {error}") from error


def _as_path(value: StrPath | None) -> Path | None:
    return None if value is None else Path(value)


def _read_hints(hints: Hints, name: str) -> list[Hint]:
    """The hints for a picture of this name. Raises ReadError, UsageError where there are none for it."""
    if hints is None:
        return []
    if isinstance(hints, str | os.PathLike):
        return hints_for(read_hints(Path(hints)), name, os.fspath(hints))
    return hints_for(parse_hints(hints), name, "hints")


def _as_paths(paths: StrPath | Iterable[StrPath]) -> tuple[Path, ...]:
    return tuple(map(Path, [paths] if isinstance(paths, str | os.PathLike) else paths))
