"""What the output will hold, decided before any work: how the picture is encoded, and what becomes of each stream."""

import io
from dataclasses import dataclass
from pathlib import Path

from av.audio.codeccontext import AudioCodecContext
from av.stream import Stream

from vidcolor import outputs
from vidcolor.choices import LOSSY_AUDIO
from vidcolor.counts import counted
from vidcolor.errors import Remark, SinkError
from vidcolor.frames import FilmInfo
from vidcolor.media.audio import choose_audio_codec
from vidcolor.media.containers import Container, container_of
from vidcolor.media.encoders import Encoding, OutputSettings, choose_encoding
from vidcolor.media.metadata import kept_tags
from vidcolor.media.opening import open_film
from vidcolor.media.probe import ProbeResult, examine
from vidcolor.media.pyav import open_output, text_of
from vidcolor.media.stream_support import accepts
from vidcolor.media.streams import codec_name, decoder_of, is_cover_art
from vidcolor.media.subtitles import is_unread_webvtt

_TRACK_TAGS = {"language", "title", "handler_name", "creation_time", "timecode", "rotate"}
AUDIBLE_SECONDS = 0.06  # sound further from the picture is noticed: ITU-R BT.1359-1, 45 to 125 ms


@dataclass(frozen=True)
class StreamPlan:
    """A stream beside the picture, and what becomes of it."""

    index: int
    kind: str
    codec: str
    action: str  # "copy", "convert", "attach" (cover art as a Matroska attachment), "rebuild", "omit", "drop"
    detail: str = ""  # the codec converted to; why it is dropped
    name: str = ""  # language and title, for people
    is_in_codec_table: bool = True  # whether PyAV's table says that the container holds its codec

    def describe(self) -> str:
        """What becomes of it, for --dry-run and warnings."""
        return {
            "copy": "copy",
            "convert": f"convert to {self.detail}",
            "omit": "left out, as asked",
            "attach": "copy as an attachment",
            "rebuild": self.detail,
            "drop": f"cannot be carried: {self.detail}",
        }[self.action]


@dataclass(frozen=True)
class OutputPlan:
    """Everything that is decided before the first frame."""

    container: Container
    encoding: Encoding
    streams: tuple[StreamPlan, ...]
    warnings: tuple[str, ...]

    @property
    def any_codec(self) -> bool:
        """Whether a codec is missing in PyAV's table, so that the container is opened without it; see open_output."""
        return not all(entry.is_in_codec_table for entry in self.streams)


def plan_output(info: FilmInfo, output_path: Path, settings: OutputSettings) -> OutputPlan:
    """Plan the output of a film. Raises UsageError or SinkError where it is impossible or unwelcome."""
    check_output(Path(info.path), output_path, overwrite=settings.overwrite)
    return make_plan(examine(Path(info.path)), output_path, settings)


def check_output(input_path: Path, output_path: Path, *, overwrite: bool) -> None:
    """Check where the output goes. Raises UsageError, SinkError for a suffix without container, the input itself, an
    existing file, a folder that cannot be written.
    """
    container_of(output_path)
    outputs.check(output_path, overwrite=overwrite, inputs=[input_path])


def make_plan(examined: ProbeResult, output_path: Path, settings: OutputSettings) -> OutputPlan:
    """Plan the output of a film that was examined. Raises as `plan_output` does."""
    container = container_of(output_path)
    with open_output(io.BytesIO(), format=container.name) as probe_output:
        takes = set(probe_output.supported_codecs)
    encoding = choose_encoding(examined, settings, output_path.suffix, takes)
    with open_film(Path(examined.info.path)) as source:
        others = [stream for stream in source.streams if stream.index != examined.video_index]
        streams = tuple(_plan_stream(stream, container, settings) for stream in others)
        lost_sound = [entry for entry in streams if entry.action == "drop" and entry.kind == "audio"]
        if lost_sound:
            raise SinkError(_lost_sound_text(output_path, container, lost_sound, settings))
        kept = [source.streams[entry.index] for entry in streams if entry.action in ("copy", "convert")]
        lost_tags = _lost_tags(kept, container)
        picture = source.streams[examined.video_index]
        late = [stream.index for stream in source.streams.audio if _starts_apart(stream, picture)]
    warnings = [*examined.info.warnings, *encoding.warnings]
    warnings += [f"{_label(entry)} {entry.describe()}" for entry in streams if entry.action == "drop"]
    warnings += lost_tags
    warnings += [_conversion_text(entry) for entry in streams if entry.action == "convert"]
    warnings += _lost_facts(examined, container, late)
    return OutputPlan(container, encoding, streams, tuple(warnings))


def _lost_tags(streams: list[Stream], container: Container) -> list[str]:
    """Warn of tags of single streams, which only Matroska stores; tags of the whole film are kept everywhere."""
    if container.stream_tags:
        return []
    tags = {
        f"{key} of #{stream.index}"
        for stream in streams
        for key in kept_tags(stream.metadata)
        if key.lower() not in _TRACK_TAGS
    }
    found = f"stream tags that {container.name} has no place for: {', '.join(sorted(tags))}"
    return [Remark(found)] if tags else []


def _starts_apart(stream: Stream, picture: Stream) -> bool:
    def start(of: Stream) -> float:
        return float((of.start_time or 0) * (of.time_base or 0))

    return abs(start(stream) - start(picture)) > AUDIBLE_SECONDS


def _lost_facts(examined: ProbeResult, container: Container, late: list[int]) -> list[str]:
    """Warn of what the film says that its container cannot. late: streams that start apart from the picture."""
    losses: list[str] = []
    name, info = container.name, examined.info
    if container.whole_milliseconds and (info.time_base * 1000).denominator != 1:
        losses.append(Remark(f"{name} stores times in whole milliseconds; each is off by 0.5 ms at most"))
    if info.chapters and not container.chapters:
        losses.append(f"{counted(info.chapters, 'chapter')} cannot be carried: {name} has none")
    if info.rotation_degrees and not container.rotation:
        losses.append(f"the rotation flag cannot be carried: {name} has none")
    if not container.stores_times:
        losses += [
            f"stream #{index} starts at another time than the picture, which {name} cannot say" for index in late
        ]
    return losses


def _label(entry: StreamPlan) -> str:
    return f"stream #{entry.index} ({entry.kind}, {entry.codec}{', ' + entry.name if entry.name else ''})"


def _conversion_text(entry: StreamPlan) -> str:
    """What a stream is converted to: a remark where that loses nothing."""
    text = f"{_label(entry)} converted to {entry.detail}"
    is_lossless = entry.kind == "audio" and entry.detail not in LOSSY_AUDIO
    return Remark(f"{text} without loss") if is_lossless else text


def _lost_sound_text(output_path: Path, container: Container, lost: list[StreamPlan], settings: OutputSettings) -> str:
    """The message that sound would be lost, and how to keep it."""
    lost_streams, lossy = " and ".join(_label(entry) for entry in lost), container.lossy_audio
    ways = [] if container.any_codec else ["choose .mkv, which holds most sounds as they are"]
    ways += [] if settings.convert_audio == lossy else [f"--convert-audio {lossy} converts it"]
    way = "; or ".join([*ways, "--drop-audio makes a silent film"])
    return f"{output_path}: {lost_streams} cannot be carried: {lost[0].detail}. {way[:1].upper()}{way[1:]}."


def _plan_stream(stream: Stream, container: Container, settings: OutputSettings) -> StreamPlan:
    codec = codec_name(stream)
    kind = "cover art" if is_cover_art(stream) else str(stream.type)
    name = text_of(" ".join(filter(None, (stream.metadata.get("language"), stream.metadata.get("title")))))
    if kind == "audio" and settings.drop_audio:
        return StreamPlan(stream.index, kind, codec, "omit", "", name)
    action, detail = _choose_action(stream, codec, kind, container, settings)
    may_be_missing = action == "copy" and kind == "audio" and container.any_codec
    is_in_codec_table = not may_be_missing or accepts(container, stream)
    return StreamPlan(stream.index, kind, codec, action, detail, name, is_in_codec_table)


def _choose_action(
    stream: Stream, codec: str, kind: str, container: Container, settings: OutputSettings
) -> tuple[str, str]:
    """What becomes of a stream: action and detail of its StreamPlan."""
    if kind == "cover art":
        if container.attachments:
            return ("attach", "") if codec in ("mjpeg", "png") else ("drop", f"no attachment type for {codec}")
        is_taken = container.cover_art and accepts(container, stream)
        return ("copy", "") if is_taken else ("drop", f"{container.name} has no place")
    if kind == "attachment":
        return ("copy", "") if container.attachments else ("drop", f"{container.name} has no attachments")
    if kind == "data" and _is_chapter_track(stream):
        return "rebuild", "kept as chapters"
    if kind == "data" and decoder_of(stream) is None and _is_timecode(stream):
        return "rebuild", "kept as the picture's timecode"
    decoder = decoder_of(stream)
    is_timed = kind != "audio" or container.keeps_audio(codec)
    if is_timed and (
        accepts(container, stream) or (container.any_codec and accepts(container, stream, any_codec=True))
    ):
        return "copy", ""
    if (
        kind == "audio"
        and decoder is not None
        and (target := choose_audio_codec(stream, container, settings.convert_audio))
    ):
        return "convert", target
    if is_unread_webvtt(stream) or (kind == "subtitle" and decoder is not None and decoder.codec.text_sub):
        target = container.text_subtitles
        return ("convert", target) if target else ("drop", f"{container.name} has no text subtitles")
    if decoder is None:
        return "drop", "a stream of unknown make, which PyAV cannot copy"
    if isinstance(decoder, AudioCodecContext) and not decoder.sample_rate:
        return "drop", "FFmpeg has found no sound in it"
    return "drop", f"{container.name} does not take {codec}" + ("" if is_timed else " in time with the picture")


def _is_chapter_track(stream: Stream) -> bool:
    """QuickTime keeps chapter names in a text track; FFmpeg reads it as chapters and shows the track as data too."""
    return (
        stream.container.format.name.startswith("mov")
        and bool(stream.container.chapters())
        and _codec_tag(stream) == "text"
    )


def _is_timecode(stream: Stream) -> bool:
    return _codec_tag(stream) == "tmcd" or "timecode" in stream.metadata


def _codec_tag(stream: Stream) -> str:
    decoder = decoder_of(stream)
    if decoder is not None:
        return decoder.codec_tag
    return "text" if stream.name == "bin_data" else ""
