"""Evaluation results as tables for people and rows for programs."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal, TypedDict

from vidcolor.counts import counted
from vidcolor.evaluation.films import MEASURED_SIDE, FilmReport, FilmScore, average_reports
from vidcolor.evaluation.photos import PhotoReport, Score

Table = list[list[str]]  # heading first
HEADINGS = {
    "lpips": "LPIPS", "fid": "FID", "is": "IS",
    "hints_1": "PSNR, 1 hint", "hints_10": "10 hints", "hints_100": "100 hints",
}  # fmt: skip


class FilmRow(TypedDict):
    """What stands beside a film's score."""

    kind: Literal["film", "films"]  # films: means over several


class PhotoRow(TypedDict):
    """What stands beside the photos' score: those of them that measure nothing."""

    kind: Literal["photos"]  # what was measured
    unreadable: int  # photos that are damaged or too small
    without_color: int  # photos without color


def photo_title(report: PhotoReport) -> str:
    """Title: how many photos were measured and skipped."""
    asked = report.photos + len(report.unreadable) + len(report.gray)
    spread = f" of {report.found}, evenly spread" if asked < report.found else ""
    left_out = {"unreadable": report.unreadable, "gray": report.gray}
    skipped = "".join(f", {len(names)} {why} left out" for why, names in left_out.items() if names)
    return f"{counted(report.photos, 'photo')}{spread}{skipped}"


def photo_table(scores: Sequence[Score]) -> Table:
    """Table of means over the photos."""
    further = list(scores[0].further)
    heading = ["", "PSNR", "dE00", "SSIM", "colorfulness", "gap", "distance closed"]
    table = [[*heading, *(HEADINGS.get(name, name) for name in further), "s/photo"]]
    for score in scores:
        table.append(
            [
                score.name,
                _format_number(score.psnr, ".2f"),
                _format_number(score.de00, ".2f"),
                _format_number(score.ssim, ".4f"),
                _format_number(score.colorfulness, ".1f"),
                _format_number(score.colorfulness_gap, ".1f"),
                _format_number(score.distance_closed, ".0%"),
                *(_format_number(score.further[name], ".2f" if name != "lpips" else ".3f") for name in further),
                _format_number(score.seconds, ".3f"),
            ]
        )
    return table


def film_title(reports: Sequence[FilmReport]) -> str:
    """Title: how many films and frames were measured, and at what size."""
    frames, cuts = (sum(getattr(report.scores[0], name) for report in reports) for name in ("frames", "cuts"))
    films, shown, parts = counted(len(reports), "film"), counted(frames, "frame"), counted(cuts, "cut")
    return f"{films}, {shown}, {parts} (short side at most {MEASURED_SIDE} px)"


def film_table(reports: Sequence[FilmReport]) -> Table:
    """Table of each film under its name, then the mean of several."""
    heading = ["", "PSNR", "dE00", "colorfulness", "gap", "CDC", "warp", "chroma", "drift 12", "24", "48", "frames/s"]
    table = [heading]
    for score in film_scores(reports):
        film = score.film or f"mean of {counted(score.films, 'film')}"
        if score.name == "gray":
            table.append([film, *[""] * (len(heading) - 1)])
        table.append(_film_row(score))
    return table


FILM_CAPTION = (
    "CDC and warp error in thousandths; chroma: warp error of Cb and Cr alone, root mean square in 8-bit codes;"
    " drift: the same between frames 12, 24 and 48 apart, along the motion."
    " Pairs of frames across a cut do not count."
)


def _film_row(score: FilmScore) -> list[str]:
    return [
        f"  {score.name}",
        _format_number(score.psnr, ".2f"),
        _format_number(score.de00, ".2f"),
        _format_number(score.colorfulness, ".1f"),
        _format_number(score.colorfulness_gap, ".1f"),
        _format_number(score.cdc * 1000, ".3f"),
        _format_number(score.warp_error * 1000, ".3f"),
        _format_number(score.chroma_warp_error, ".2f"),
        *(_format_number(drift, ".2f") for drift in (score.drift_12, score.drift_24, score.drift_48)),
        _format_number(score.frames_per_second, ".1f"),
    ]


def film_scores(reports: Sequence[FilmReport]) -> list[FilmScore]:
    """Scores of each film, then the means of several."""
    rows = [score for report in reports for score in report.scores]
    return rows + (average_reports(list(reports)) if len(reports) > 1 else [])


def rows(photos: PhotoReport | None, films: Sequence[FilmReport]) -> list[dict[str, Any]]:
    """One dictionary for each line of the tables, with all numbers; None for infinite and unknown ones."""
    found: list[dict[str, Any]] = []
    if photos:
        row = PhotoRow(kind="photos", unreadable=len(photos.unreadable), without_color=len(photos.gray))
        for score in photos.scores:
            facts = asdict(score)
            further = facts.pop("further")
            found.append({"kind": "photos", **facts, **further, **row})
    for film in film_scores(films) if films else ():
        found.append({**FilmRow(kind="film" if film.film else "films"), **asdict(film)})
    return [_replace_nonfinite(row) for row in found]


def _replace_nonfinite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _replace_nonfinite(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _format_number(value: float | None, form: str) -> str:
    if value is None or math.isnan(value):
        return "-"
    return "inf" if math.isinf(value) else f"{value:{form}}"


def to_csv(found: Sequence[dict[str, Any]]) -> str:
    """Format rows as CSV; a dictionary becomes a column for each of its keys, and a missing value stays empty."""
    flat = [_flatten(row) for row in found]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _flatten(row: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        entries = {f"{name}.{key}": entry for key, entry in value.items()} if isinstance(value, dict) else {name: value}
        flat |= entries
    return flat
