"""`vidcolor compare`."""

from pathlib import Path

import click

from vidcolor import outputs
from vidcolor.cli.number_types import Number, Whole
from vidcolor.cli.param_types import Existing, Output
from vidcolor.cli.progress import show_count
from vidcolor.cli.text import say
from vidcolor.cli.timecode import Timecode
from vidcolor.counts import counted


@click.command("compare")
@click.argument("before", metavar="BEFORE", type=Existing())
@click.argument("after", metavar="AFTER", type=Existing())
@click.option("-o", "--output", required=True, type=Output(path_type=Path), help="Page to write: an HTML file.")
@click.option("--pairs", type=Whole(min=1), default=60, show_default=True, help="Greatest number of files on the page.")
@click.option(
    "--shots", type=Whole(min=1), default=12, show_default=True, help="Greatest number of shots from each film."
)
@click.option(
    "--side", type=Whole(320, 8192), default=1600, show_default=True,
    help="Longest side of the pictures, in pixels.",
)  # fmt: skip
@click.option(
    "--clip", type=Timecode(), default="4s", show_default=True, help="Length of the clip from each film; 0: no clip."
)
@click.option("--at", type=Timecode(), help="Where the clip begins; else with the longest shot.")
@click.option(
    "--megabytes", type=Number(1, 1000), default=25.0, show_default=True,
    help="Size limit of the page: pictures shrink, then there are fewer.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing page.")
def command(
    *, before: Path, after: Path, output: Path, pairs: int, shots: int, side: int, clip: float, at: float | None,
    megabytes: float, overwrite: bool,
) -> None:  # fmt: skip
    """Put films or photos before and after on one page, with a slider between them.

    BEFORE and AFTER are two films, two photos, or two folders whose files are matched by name. The page is one file
    that any browser shows without a network, so it can be sent by mail.

    \b
    Examples:
      vidcolor compare film.mp4 out.mp4 -o page.html
      vidcolor compare scans/ color/ -o page.html --pairs 100
      vidcolor compare old-model.mp4 new-model.mp4 -o page.html --clip 8s --at 1:00
    """
    from vidcolor.compare import Settings, compare, match

    outputs.check(output, overwrite=overwrite, inputs=[before, after])
    matches = match(before, after)
    with show_count("files") as tell:
        made = compare(before, after, matches, Settings(pairs, shots, side, clip, at, megabytes), tell)
    content = made.html.encode()
    outputs.write(output, content, overwrite=overwrite)
    for problem in made.problems:
        say(f"vidcolor: warning: {problem}")
    lonely = len(matches.only_before) + len(matches.only_after)
    left_out = f", {counted(lonely, 'file')} without a counterpart" if lonely else ""
    said = f"{made.shown} of {counted(len(matches.found), 'pair')}{left_out}, {len(content) / 1e6:.1f} MB"
    say(f"{output}: {said}")
