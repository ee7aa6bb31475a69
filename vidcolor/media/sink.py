"""The colored film: the source's luma under new chroma, and every other stream of the source beside it."""

from __future__ import annotations  # Packet[...] is for type checkers only

import errno
import os
from contextlib import ExitStack, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from av.error import ExternalError, FFmpegError
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from vidcolor.counts import counted
from vidcolor.errors import ShapeError, SinkError
from vidcolor.filenames import scratch_name
from vidcolor.frames import ColoredFrame, FilmInfo, Frame, ResumePoint, checksum_of
from vidcolor.media.encoder_frames import FrameBuilder
from vidcolor.media.encoders import CAPTION_ENCODERS, OutputSettings, lost_captions_text
from vidcolor.media.film_ledger import SegmentShots
from vidcolor.media.muxer import Muxer
from vidcolor.media.opening import open_container
from vidcolor.media.plan import OutputPlan, check_output, make_plan
from vidcolor.media.probe import CAPTIONS, ProbeResult, examine
from vidcolor.media.pyav import side_data_of
from vidcolor.media.segment_files import copy_packet
from vidcolor.media.segments import SegmentStore, find_parts, remove_parts
from vidcolor.media.source import FilmSource
from vidcolor.outputs import DISK_ERRORS, move, sync_folder, write_failure
from vidcolor.run import Run
from vidcolor.steady.state import Arrays


class FilmSink:
    """Writes frames of `source` with their chroma. The file gets its final name only on a clean exit.

    The picture is encoded in segments, each by itself; `end_segment` ends one. With a `run` every finished segment is
    kept beside the output until the film is done, and entering the sink of the same run again resumes there:
    `frames_written` counts the frames before those that are to be written next, `state` is the state of the colors
    after them. Frames that a finished segment holds are dropped.
    """

    def __init__(
        self, path: Path, source: Path | FilmSource, settings: OutputSettings, *, comment: str,
        run: Run | None = None, resume: bool = True, keeps: bool = False,
    ) -> None:  # fmt: skip
        """Check and plan the output. Raises UsageError, SinkError; a changed run raises ChangedError on entering.

        comment is added to the film's comment tag.  run: what decides the output; None: an unfinished film is removed.
        resume: continue the finished segments; False removes them.  keeps: leave them when the film is done.
        """
        self.path, self.settings, self._comment = Path(path), settings, comment
        self._run, self._resume, self._keeps = run, resume, keeps
        self.notes_shots = run is not None and run.said is not None  # frames are to tell where shots start
        self._store: SegmentStore | None = None
        self.state: Arrays = {}
        self.resume_point: ResumePoint | None = None  # the last frame that an earlier run finished
        input_path = source.path if isinstance(source, FilmSource) else Path(source)
        check_output(input_path, self.path, overwrite=settings.overwrite)
        self._source = source if isinstance(source, FilmSource) else None
        self._examined: ProbeResult = source.examined if isinstance(source, FilmSource) else examine(input_path)
        self.info: FilmInfo = self._examined.info
        self.plan: OutputPlan = make_plan(self._examined, self.path, settings)
        self.warnings: list[str] = list(self.plan.warnings)
        self.frames_written = 0
        is_warned_of = self._examined.has_captions  # in the plan
        are_encoded = self.plan.encoding.encoder in CAPTION_ENCODERS
        self._may_lose_captions = self._examined.may_have_captions and not is_warned_of and not are_encoded
        self._has_lost_captions = False
        self._partial = self.path.with_name(scratch_name(f"{os.getpid()} {self.path.name}"))
        self._last: Frame | None = None  # that was written or dropped
        self._restored, self._frames_kept = 0, 0  # finished segments that are in the film, and their frames
        self._shots: SegmentShots | None = None  # of the segment that is being made
        self._begun: ResumePoint | None = None  # the frame before the newest shot; None: it begins with the film
        self._is_begun_known = True
        self._resources = ExitStack()
        self._muxer: Muxer | None = None

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
        if self.notes_shots:
            self._note_shot(colored.frame)
        self._last = colored.frame
        if self.frames_written < self._frames_kept:
            self.frames_written += 1
            return
        try:
            if not self.frames_written:
                self._first_pts = colored.frame.pts or 0
                self._set_clock(self._first_pts)
            if self._may_lose_captions and not self._has_lost_captions:
                native = colored.frame.native
                self._has_lost_captions = isinstance(native, VideoFrame) and CAPTIONS in side_data_of(native)
            frame = self._frame_builder.build(colored)
            self._set_time(frame, colored)
            self._write_packets(self._open_muxer.video.encode(frame))
        except (FFmpegError, OSError, ValueError) as error:
            raise self._as_sink_error(error) from error
        self.frames_written += 1

    def end_segment(self, state: Arrays) -> None:
        """End a segment after the last frame written. state: of the colors, to resume with after this frame."""
        if self.frames_written <= self._frames_kept:
            return
        try:
            self._write_packets(self._open_muxer.video.end_segment())
            self._finish_segment(state)
        except (FFmpegError, OSError, ValueError) as error:
            raise self._as_sink_error(error) from error

    def _finish_segment(self, state: Arrays) -> None:
        if self._store is not None and (last := self._last_point) is not None:
            self._store.finish(last, self._first_pts, state, self._shots)
            self._restored, self._shots = self._restored + 1, None

    @property
    def _last_point(self) -> ResumePoint | None:
        """The last frame that was written or dropped."""
        if self._last is None:
            return self.resume_point
        return ResumePoint(self.frames_written, self._last.pts or 0, checksum_of(self._last.luma))

    def _note_shot(self, frame: Frame) -> None:
        """Note where the shots of a segment begin."""
        if frame.starts_shot:
            self._begun, self._is_begun_known = self._last_point, True
        if self.frames_written < self._frames_kept or not self._is_begun_known:
            return
        if self._shots is None and self.frames_written == self._segment_start:
            self._shots = SegmentShots(self.frames_written, self._begun, ())
        if self._shots is not None and frame.starts_shot and self._begun is not None:
            self._shots = replace(self._shots, cuts=(*self._shots.cuts, self._begun))

    @property
    def _segment_start(self) -> int:
        """Frames before the segment that is being made."""
        return self._store.frames if self._store is not None else 0

    @property
    def next_kept(self) -> int | None:
        """The frame at which finished segments follow that are kept; None where none do."""
        return self._store.next_kept if self._store is not None else None

    @property
    def frames_ahead(self) -> int:
        """How many frames are finished after the next missing one."""
        return self._store.frames_ahead if self._store is not None else 0

    @property
    def frames_done(self) -> int:
        """How many frames are finished."""
        return max(self.frames_written, self._frames_kept) + self.frames_ahead

    @property
    def is_whole(self) -> bool:
        """Whether all frames are finished."""
        return self._store is not None and self._store.is_whole

    @property
    def is_patched(self) -> bool:
        """Whether `state` does not count all frames before, because segments after them were made earlier."""
        if self._store is None:
            return False
        return self._store.has_dropped or bool(self._frames_kept and not self.state)

    def take_kept(self) -> None:
        """Put the finished segments that follow into the film."""
        assert self._store is not None
        try:
            self._restore_segments(self._store)
        except (FFmpegError, OSError, ValueError) as error:
            raise self._as_sink_error(error) from error

    def _open(self) -> None:
        source = self._resources.enter_context(open_container(Path(self.info.path)))
        if self._run is not None:
            self._store = self._open_store(self._run)
            self._partial = self._store.partial
        self._file: BinaryIO = cast(BinaryIO, self._partial.open("w+b" if self._store else "x+b"))
        start, end = self._range_seconds()
        self._muxer = Muxer(self._file, source, self._examined, self.plan, start_seconds=start, end_seconds=end)
        self._muxer.add_streams(self._comment)
        self._frame_builder = FrameBuilder(self._examined, self.plan.encoding)
        if self._store is not None and self._store.first_pts is not None:
            self._first_pts = self._store.first_pts
            self._set_clock(self._first_pts)
            self._restore_segments(self._store)

    @property
    def _open_muxer(self) -> Muxer:
        assert self._muxer is not None, "the sink is used as a context manager"
        return self._muxer

    def _open_store(self, run: Run) -> SegmentStore:
        store = SegmentStore(self.path, run, resume=self._resume)
        try:
            if not self._resume:
                remove_parts(self.path, run)
            for part in find_parts(self.path):
                store.adopt(part)
            self.warnings += store.warnings
        except BaseException:
            store.close(is_done=False)
            raise
        return store

    def _restore_segments(self, store: SegmentStore) -> None:
        """Write the segments that are finished and not yet in the film."""
        for packet in store.packets(self._open_muxer.video.time_base, self._restored):
            self._open_muxer.video.add_encoded(packet)
            self._mux(packet)
        self._restored, self._frames_kept = store.count, store.frames
        self.resume_point, self.state = store.coloring_start()
        self.frames_written = self.resume_point.count if self.resume_point else 0
        self._last, self._shots, shots = None, None, store.shots
        self._begun, self._is_begun_known = shots.newest if shots else None, shots is not None

    def _set_clock(self, first_pts: int) -> None:
        self.warnings += self._open_muxer.set_clock(first_pts)

    def _range_seconds(self) -> tuple[Fraction | None, Fraction | None]:
        if self._source is None:
            return None, None
        start, end = self._source.range_pts()
        base = self.info.time_base
        return None if start is None else start * base, None if end is None else end * base

    def _set_time(self, frame: VideoFrame, colored: ColoredFrame) -> None:
        pts = colored.frame.pts
        if pts is None:
            raise SinkError(f"{self.path}: frame {self.frames_written} has no timestamp.")
        pts -= self._open_muxer.zero_pts
        frame.time_base = self.info.time_base
        container = self.plan.container
        if not container.stores_times:
            tick = self._open_muxer.video.time_base
            index = pts * self.info.time_base / tick
            if abs(index - round(index)) > Fraction(1, 4) or round(index) != self.frames_written:
                shown = float(index * tick)
                raise SinkError(
                    f"{self.path}: frame {self.frames_written} is shown at {shown:.3f} s, but {container.name} has only"
                    " frames at an even rate from zero. Choose .mkv or .mp4, which keep the film's timing."
                )
            pts, frame.time_base = round(index), tick
        frame.pts = pts
        native = colored.frame.native
        has_duration = isinstance(native, VideoFrame) and container.stores_times
        frame.duration = native.duration if has_duration else 0
        frame.pict_type = PictureType.NONE  # else the encoder would repeat the source's choice of key frames

    def _write_packets(self, packets: list[Packet[VideoStream]]) -> None:
        """Write packets from the encoder into the segment and into the film."""
        for packet in packets:
            if self._store is not None:
                self._store.write(packet)
            # HEVC flags what may be left out, which a stored packet cannot; resumed and whole films are to be the same.
            self._mux(copy_packet(packet) if packet.is_disposable else packet)

    def _mux(self, packet: Packet[VideoStream]) -> None:
        self._open_muxer.mux(packet)

    def _finish(self) -> None:
        muxer = self._open_muxer
        if not self.frames_done:
            raise SinkError(f"{self.path}: no frame was written, so there is no film to keep.")
        self._write_packets(muxer.video.end_segment())
        if self._keeps and self._store is not None and self._store.is_writing:
            self._finish_segment({})
        self.warnings += muxer.finish()
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
            remove_parts(self.path, self._run)
            self._store.close(is_done=True, is_kept=self._keeps)
        self.warnings += muxer.timing_warnings()
        if self._has_lost_captions:
            self.warnings.append(lost_captions_text(self.plan.encoding.encoder))
        self.warnings += muxer.unreadable_warnings()

    def _abandon(self) -> None:
        """Close everything and remove the unfinished file; finished segments stay."""
        if self._muxer is not None:
            muxer, self._muxer = self._muxer, None
            with suppress(FFmpegError, OSError, ValueError):  # thrown away; the first error is the one to report
                muxer.close()
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
            return SinkError(
                f"{self.path}: the disk is full; {counted(self.frames_written, 'frame')} fitted. Free some space."
            )
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            return write_failure(self.path, error)
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, ExternalError):  # all that FFmpeg hands on of an encoder's own failure
            return SinkError(
                f"{self.path}: the encoder of {self.plan.encoding.codec} failed: {reason}. It needs threads and memory"
                " (`ulimit -u`, `ulimit -v`); with both there, try another --codec."
            )
        codec, container = self.plan.encoding.codec, self.plan.container.name
        return SinkError(f"{self.path}: could not write {codec} into {container}: {reason}. Try .mkv.")
