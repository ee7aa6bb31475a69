"""`vidcolor info`."""

from dataclasses import asdict
from pathlib import Path

import click

from vidcolor.cli.param_types import Existing
from vidcolor.cli.text import answer, to_json
from vidcolor.counts import counted


@click.command("info")
@click.argument("films", metavar="INPUT...", nargs=-1, required=True, type=Existing())
@click.option("--json", "is_json", is_flag=True, help="Write each film as a JSON object to stdout.")
def command(films: tuple[Path, ...], is_json: bool) -> None:
    """Show what a film holds: picture, timing, streams, chapters, tags.

    \b
    Example:
      vidcolor info film.mkv
    """
    from vidcolor.media.probe import probe

    for film in films:
        info = probe(film)
        if is_json:
            answer(to_json(asdict(info)))
            continue
        picture = info.picture
        rate = f"{float(info.frame_rate):.3f} fps" if info.frame_rate else "unknown rate"
        answer(f"{film}")
        answer(
            f"  container  {info.container}, {info.duration_seconds or 0:.3f} s, {counted(info.chapters, 'chapter')}"
        )
        answer(f"  picture    {info.codec}, {picture.width}x{picture.height}, {info.pixel_format}, {rate}")
        answer(
            f"  color     {picture.bits} bit, {picture.matrix}, {picture.transfer}, "
            f"{'full' if picture.full_range else 'limited'} range, {info.field_order}, "
            f"pixel shape {info.sample_aspect_ratio or 1}, turned {info.rotation_degrees}°"
        )
        if info.crop:
            hidden = ", ".join(f"{side} {pixels}" for side, pixels in vars(info.crop).items() if pixels)
            answer(f"  cropping   {hidden} pixels are not shown")
        for stream in info.streams:
            extra = " ".join(filter(None, (stream.language, stream.title and f'"{stream.title}"')))
            answer(f"  stream {stream.index:<3} {stream.kind}, {stream.codec} {extra}".rstrip())
        for key, value in info.metadata.items():
            answer(f"  tag        {key}: {value}")
        for warning in info.warnings:
            answer(f"  warning    {warning}")
