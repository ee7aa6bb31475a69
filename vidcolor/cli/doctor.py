"""`vidcolor doctor`."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidcolor.cli.param_types import Output
from vidcolor.cli.progress.events import Verdict
from vidcolor.cli.text import check_answered, emit_event, fold, tell

if TYPE_CHECKING:
    from vidcolor.cli.console import Terminal
    from vidcolor.doctor import Finding

_LABELS = {"good": ("ok", "green"), "note": ("note", "yellow"), "bad": ("FAIL", "bold red")}
_NAME_WIDTH = 17
_NARROW = 60  # columns; below this, text follows the name on one line


@click.command("doctor")
@click.argument("folder", required=False, type=Output(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a finding on stdout, and the verdict last.")
@click.pass_context
def command(ctx: click.Context, folder: Path | None, as_json: bool) -> None:
    """Say whether vidcolor works on this machine, what it will use, and what is missing.

    Looks at versions, processor, GPUs, models, folders, extras, encoders and decoders; then colors a tiny film and
    checks that its frames, times, luma and sound are kept. FOLDER is where films will be written. The last line is
    the verdict; exit code 1 where something that films need is broken.

    \b
    Examples:
      vidcolor doctor
      vidcolor doctor /media/disk/films
      vidcolor doctor --json > doctor.jsonl
    """
    from vidcolor.cli.console import Terminal
    from vidcolor.doctor import list_checks, run_check, verdict

    console = Terminal()
    findings: list[Finding] = []
    for topic, check in list_checks(folder).items():
        if not as_json:
            console.print(topic, style="bold")
        with console.status(topic) if console.is_terminal and not as_json else nullcontext():
            for finding in run_check(topic, check):
                findings.append(finding)
                if as_json:
                    emit_event("finding", **asdict(finding))
                else:
                    _print_finding(finding, console)
                check_answered()
    is_well, said = verdict(findings)
    if as_json:
        emit_event("verdict", **Verdict(well=is_well, said=said))
    else:
        line = fold(said, console.width if console.is_terminal else None)
        console.print(line, style="bold green" if is_well else "bold red", soft_wrap=True)
    check_answered()
    ctx.exit(0 if is_well else 1)


def _print_finding(finding: "Finding", console: "Terminal") -> None:
    """Print one finding; on a wide terminal the text has its own column."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    mark, style = _LABELS[finding.state]
    said = fold(f"{finding.said}. {finding.advice}" if finding.advice else finding.said, None)
    if not console.is_terminal:
        tell(f"  {mark:<4}  {finding.name:<{_NAME_WIDTH}} {said}")
        return
    if console.width < _NARROW:
        line = Text.assemble((f"{mark}  ", style), (f"{finding.name}: ", "bold"), said)
        console.print(Padding(line, (0, 0, 0, 2)))
        return
    row = Table.grid(padding=(0, 1))
    row.add_column(width=6)
    row.add_column(width=_NAME_WIDTH)
    row.add_column(overflow="fold")
    row.add_row(Text(f"  {mark}", style), Text(finding.name), Text(said))
    console.print(row)
