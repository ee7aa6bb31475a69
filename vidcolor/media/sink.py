"""The colored film: the source's luma under new chroma, and every other stream of the source beside it."""

from __future__ import annotations  # Packet[...] is for type checkers only

import errno
import math
import os
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

from av.container import InputContainer, OutputContainer
from av.error import ExternalError, FFmpegError
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from vidcolor.errors import ShapeError, SinkError
from vidcolor.filenames import scratch_name
from vidcolor.frames import ColoredFrame, FilmInfo, Frame, ResumePoint, checksum_of
from vidcolor.media.encoder_frames import Canvas
from vidcolor.media.encoders import CAPTION_ENCODERS, OutputSettings, no_captions
from vidcolor.media.metadata import MP4_TAGS, kept_tags
from vidcolor.media.output_file import WrittenFile
from vidcolor.media.plan import AUDIBLE_SECONDS, Plan, check_output, make_plan
from vidcolor.media.probe import CAPTIONS, Examined, decoder_of, examine, open_container
from vidcolor.media.pyav import fraction_of, open_output, side_data_of, text_of
from vidcolor.media.segments import FilmRun, SegmentStore, copy_of, forget_parts, parts_of
from vidcolor.media.source import FilmSource
from vidcolor.media.stream_copy import StreamCopy
from vidcolor.media.video_track import VideoTrack
from vidcolor.outputs import DISK_ERRORS, move, sync_folder, write_failure
from vidcolor.steady.state import Arrays

from . import matroska, mp4

if TYPE_CHECKING:
    from av.container.core import Chapter  # lives in the type stubs alone

_WRITE_BUFFER_BYTES = 1 << 20


class FilmSink:
    """Writes frames of `source` with their chroma. The file gets its final name only on a clean exit.

    The picture is encoded in segments, each by itself, wherever `end_segment` is called. With a `run` every finished
    segment is kept beside the output until the film is done, and entering the sink of the same run again goes on:
    `frames_written` says from where, `state` with what.
    """

    def __init__(
        self, path: Path, source: Path | FilmSource, settings: OutputSettings, *, comment: str,
        run: FilmRun | None = None, resume: bool = True,
    ) -> None:  # fmt: skip
        """Refusals come here, before any work, but for those of a changed run, which come on entering.

        comment is added to the film's comment tag.  run: what decides the output; None: nothing is kept of a film that
        is not finished.  resume: go on from what is there.
        """
        self.path, self.settings, self._comment = Path(path), settings, comment
        self._run, self._resume = run, resume
        self._store: SegmentStore | None = None
        self.state: Arrays = {}
        self.place: ResumePoint | None = None  # the last frame that an earlier run has made
        input_path = source.path if isinstance(source, FilmSource) else Path(source)
        check_output(input_path, self.path, overwrite=settings.overwrite)
        self._source = source if isinstance(source, FilmSource) else None
        self._examined: Examined = source.examined if isinstance(source, FilmSource) else examine(input_path)
        self.info: FilmInfo = self._examined.info
        self.plan: Plan = make_plan(self._examined, self.path, settings)
        self.warnings: list[str] = list(self.plan.warnings)
        self.frames_written = 0
        is_told = self._examined.has_captions  # by the plan
        is_keeping = self.plan.encoding.encoder in CAPTION_ENCODERS
        self._may_lose_captions = self._examined.may_have_captions and not is_told and not is_keeping
        self._has_lost_captions = False
        self._partial = self.path.with_name(scratch_name(f"{os.getpid()} {self.path.name}"))
        self._last: Frame
        self._resources = ExitStack()
        self._output: OutputContainer | None = None

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException as error:
            self._abandon()
            raise self._as_sink_error(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._abandon()
            return
        try:
            self._finish()
        except BaseException as failure:
            self._abandon()
            raise self._as_sink_error(failure) from failure

    def write(self, colored: ColoredFrame) -> None:
        """Encode one frame, and carry the other streams up to its time."""
        rows, columns = self.info.picture.chroma_size
        if colored.cb.shape != (rows, columns) or colored.cr.shape != (rows, columns):
            raise ShapeError(
                f"found chroma planes {colored.cb.shape} and {colored.cr.shape}, needed {(rows, columns)}."
            )
        try:
            if not self.frames_written:
                self._first_pts = colored.frame.pts or 0
                self._set_clock(self._first_pts)
            if self._may_lose_captions and not self._has_lost_captions:
                native = colored.frame.native
                self._has_lost_captions = isinstance(native, VideoFrame) and CAPTIONS in side_data_of(native)
            frame = self._canvas.paint(colored)
            self._time(frame, colored)
            self._keep(self._video.encode(frame))
            self._last = colored.frame
        except (FFmpegError, OSError, ValueError) as error:
            raise self._as_sink_error(error) from error
        self.frames_written += 1

    def end_segment(self, state: Arrays) -> None:
        """End a segment after the last frame written. state: what the colors need to go on from here."""
        try:
            self._keep(self._video.end_segment())
            if self._store is not None:
                last = ResumePoint(self.frames_written, self._last.pts or 0, checksum_of(self._last.luma))
                self._store.finish(last, self._first_pts, state)
        except (FFmpegError, OSError, ValueError) as error:
            raise self._as_sink_error(error) from error

    def _open(self) -> None:
        start, end = self._range_seconds()
        source = self._resources.enter_context(open_container(Path(self.info.path)))
        if self._run is not None:
            self._store = self._opened_store(self._run)
            self._partial = self._store.partial
        self._file: BinaryIO = cast(BinaryIO, self._partial.open("w+b" if self._store else "x+b"))
        self._written = WrittenFile(self._file)
        output = open_output(
            self._written,
            format=self.plan.container,
            container_options=self._container_options(source),
            buffer_size=_WRITE_BUFFER_BYTES,
            takes_all=self.plan.takes_all,
        )
        self._output = output
        self._start_seconds, self._end_seconds = start, end
        template = cast(VideoStream, source.streams[self._examined.video_index])
        self._video = VideoTrack(output, template, self._examined, self.plan)
        self._stream_copy = StreamCopy(
            source, output, self.plan.streams, self._examined.timeline,
            start_seconds=start, end_seconds=end, from_zero=self.plan.container == "avi",
        )  # fmt: skip
        output.metadata.update(self._tags(dict(source.metadata)))
        self._chapters = source.chapters()
        self._canvas = Canvas(self._examined, self.plan.encoding)
        if self._store is not None and self._store.first_pts is not None:
            self._go_on(self._store, self._store.first_pts)

    def _opened_store(self, run: FilmRun) -> SegmentStore:
        store = SegmentStore(self.path, run, resume=self._resume)
        try:
            if not self._resume:
                forget_parts(self.path, run)
            for part in parts_of(self.path):
                store.adopt(part)
            self.warnings += store.warnings
        except BaseException:
            store.close(is_done=False)
            raise
        return store

    def _go_on(self, store: SegmentStore, first_pts: int) -> None:
        """Write what an earlier run finished."""
        self._first_pts = first_pts
        self._set_clock(first_pts)
        for packet in store.packets(self._video.time_base):
            self._video.went_on(packet)
            self._mux(packet)
        self.frames_written, self.state, self.place = store.frames, store.state(), store.place

    def _set_clock(self, first_pts: int) -> None:
        """Settle what time of the source is zero in the output, which the header with its chapters needs."""
        first, zero = first_pts * self.info.time_base, self._examined.zero_seconds
        shift = zero if self._start_seconds is None else self._start_seconds
        container = self.plan.container
        # MP4 would hide frames before zero behind an edit list; AVI has no times, so its first frame is at zero.
        if (first < shift and container in ("mp4", "mov")) or (first != shift and container == "avi"):
            late = float(first - zero)
            if self._start_seconds is None and abs(late) > AUDIBLE_SECONDS:
                self.warnings.append(f"the film's first frame is at {late:.3f} s; in {container} it is at 0")
            shift = first
        self._shift_pts = round(shift / self.info.time_base)
        self._stream_copy.shift_seconds = shift
        self._kept_chapters = _chapters_within(self._chapters, self._start_seconds, self._end_seconds, shift)
        if self.plan.container != "avi" and self._output is not None and not self.plan.takes_all:
            self._output.set_chapters(self._kept_chapters)

    def _range_seconds(self) -> tuple[Fraction | None, Fraction | None]:
        if self._source is None:
            return None, None
        start, end = self._source.range_pts()
        base = self.info.time_base
        return None if start is None else start * base, None if end is None else end * base

    def _container_options(self, source: InputContainer) -> dict[str, str]:
        if self.plan.container not in ("mp4", "mov"):
            # Sound often begins a little before zero, by its encoder's delay; FFmpeg would move the picture for it.
            # Matroska's muxer draws the identities of film and tracks by lot, unless it is to be exact.
            return {"avoid_negative_ts": "disabled", "fflags": "+bitexact"}
        # Edit lists count in the movie's time scale; FFmpeg's 1/1000 s would round a late or early start.
        scale = math.lcm(
            self.info.time_base.denominator, *(stream.rate for stream in source.streams.audio if decoder_of(stream))
        )
        fallback = min(self.info.time_base.denominator, 1_000_000)
        options = {"movie_timescale": str(scale if scale < 2**31 else fallback)}
        tags = {key.lower() for key in kept_tags(self.info.metadata)}
        if tags - MP4_TAGS and not any(entry.kind == "cover art" for entry in self.plan.streams):
            options["movflags"] = "use_metadata_tags"
        return options

    def _tags(self, source_tags: dict[str, str]) -> dict[str, str]:
        tags = kept_tags(source_tags)
        existing = [key for key in tags if key.lower() == "comment"]
        comments = [tags.pop(key) for key in existing]
        return tags | {"comment": "; ".join([*comments, self._comment])}

    def _time(self, frame: VideoFrame, colored: ColoredFrame) -> None:
        pts = colored.frame.pts
        if pts is None:
            raise SinkError(f"{self.path}: frame {self.frames_written} has no timestamp.")
        pts -= self._shift_pts
        frame.time_base = self.info.time_base
        if self.plan.container == "avi":
            index = pts * self.info.time_base / self._video.time_base
            if abs(index - round(index)) > Fraction(1, 4) or round(index) != self.frames_written:
                shown = float(index * self._video.time_base)
                raise SinkError(
                    f"{self.path}: frame {self.frames_written} is shown at {shown:.3f} s, but AVI has only frames at an"
                    " even rate from zero. Choose .mkv or .mp4, which keep the film's timing."
                )
            pts, frame.time_base = round(index), self._video.time_base
        frame.pts = pts
        native = colored.frame.native
        frame.duration = native.duration if isinstance(native, VideoFrame) and self.plan.container != "avi" else 0
        frame.pict_type = PictureType.NONE  # else the encoder would repeat the source's choice of key frames

    def _keep(self, packets: list[Packet[VideoStream]]) -> None:
        """Packets from the encoder: into the segment, and into the film."""
        for packet in packets:
            if self._store is not None:
                self._store.write(packet)
            # HEVC's says what else may be left out; a kept packet cannot, and both films are to be the same.
            self._mux(copy_of(packet) if packet.is_disposable else packet)

    def _mux(self, packet: Packet[VideoStream]) -> None:
        assert self._output is not None
        moment = None if packet.dts is None else packet.dts * packet.time_base
        self._output.mux_one(packet)
        self._written.check()
        if moment is not None:
            self._stream_copy.advance(moment)

    def _finish(self) -> None:
        assert self._output is not None
        if not self.frames_written:
            raise SinkError(f"{self.path}: no frame was written, so there is no film to keep.")
        self._keep(self._video.end_segment())
        self._stream_copy.advance(None)
        self._output.close()
        self._written.check()
        shape, crop = self.info.sample_aspect_ratio or Fraction(1), self.info.crop
        if self._video.is_in_header and not matroska.write_picture(self._file, shape, crop):
            self.warnings.append(f"the pixel shape {shape} {'and cropping ' if crop else ''}could not be stored")
        if crop and self.plan.container in ("mp4", "mov") and not mp4.write_crop(self._file, crop):
            self.warnings.append("the cropping could not be stored")
        if self.plan.takes_all and self._kept_chapters:
            named = [_in_seconds(chapter) for chapter in self._kept_chapters]
            if not matroska.write_chapters(self._file, named):
                self.warnings.append(f"{len(named)} chapters could not be stored")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._resources.close()
        try:
            move(self._partial, self.path, overwrite=self.settings.overwrite)
        except FileExistsError as error:
            raise SinkError(
                f"{self.path}: appeared while the film was colored. Choose another name or --overwrite."
            ) from error
        sync_folder(self.path.absolute().parent)
        if self._store is not None and self._run is not None:
            forget_parts(self.path, self._run)
            self._store.close(is_done=True)
        if self._stream_copy.nudged_packets:
            moved = f"{self._stream_copy.nudged_packets} pieces of sound or words"
            self.warnings.append(f"{moved} had the time of the one before; each now begins right after it")
        if self._stream_copy.closed_seconds > AUDIBLE_SECONDS:
            closed = f"{float(self._stream_copy.closed_seconds):.1f} s of holes in the sound"
            self.warnings.append(
                f"{closed} are closed: {self.plan.container} cannot tell when sound is heard; .mkv can"
            )
        if self._stream_copy.early_seconds > AUDIBLE_SECONDS and self._start_seconds is None:
            early = f"{float(self._stream_copy.early_seconds):.2f} s of sound before the first frame"
            self.warnings.append(f"{early} left out: {self.plan.container} begins with its picture; .mkv keeps it")
        if self._has_lost_captions:
            self.warnings.append(no_captions(self.plan.encoding.encoder))
        for kind, count in self._stream_copy.unreadable.items():
            what = "subtitles" if kind == "subtitle" else f"packets of {kind}"
            self.warnings.append(f"{count} {what} could not be read and are left out")

    def _abandon(self) -> None:
        """Leave nothing behind."""
        if self._output is not None:
            output, self._output = self._output, None
            with suppress(FFmpegError, OSError, ValueError):  # thrown away; the first error is the one to report
                output.close()
        file: Any = getattr(self, "_file", None)
        if file is not None:
            with suppress(OSError):
                file.close()
            with suppress(OSError):
                self._partial.unlink(missing_ok=True)
        if self._store is not None:
            self._store.close(is_done=False)
        self._resources.close()

    def _as_sink_error(self, error: BaseException) -> BaseException:
        if not isinstance(error, OSError | FFmpegError | ValueError) or isinstance(error, SinkError):
            return error
        if getattr(error, "errno", None) == errno.ENOSPC:
            return SinkError(f"{self.path}: the disk is full; {self.frames_written} frames fitted. Free some space.")
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            return write_failure(self.path, error)
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, ExternalError):  # all that FFmpeg hands on of an encoder's own failure
            return SinkError(
                f"{self.path}: the encoder of {self.plan.encoding.codec} failed: {reason}. It needs threads and memory"
                " (`ulimit -u`, `ulimit -v`); with both there, try another --codec."
            )
        return SinkError(
            f"{self.path}: could not write {self.plan.encoding.codec} into {self.plan.container}: {reason}. Try .mkv."
        )


def _chapters_within(
    chapters: list[Chapter], start: Fraction | None, end: Fraction | None, shift_seconds: Fraction
) -> list[Chapter]:
    """Chapters cut to the range, on the output's clock."""
    kept = []
    for chapter in chapters:
        base = fraction_of(chapter["time_base"]) or Fraction(1, 1000)
        first = chapter["start"] if start is None else max(chapter["start"], math.floor(start / base))
        last = chapter["end"] if end is None else min(chapter["end"], math.ceil(end / base))
        if first < last or (start is None and end is None):
            shift = math.floor(shift_seconds / base)
            cut = chapter.copy()
            cut["start"], cut["end"] = first - shift, last - shift
            kept.append(cut)
    return kept


def _in_seconds(chapter: Chapter) -> tuple[Fraction, Fraction, str]:
    base = fraction_of(chapter["time_base"]) or Fraction(1, 1000)
    return chapter["start"] * base, chapter["end"] * base, text_of(chapter["metadata"].get("title", ""))
