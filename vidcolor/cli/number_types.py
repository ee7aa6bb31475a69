"""Number types of options. Unusable numbers are usage errors."""

import math
import re
from fractions import Fraction
from typing import Any

import click

from vidcolor.cli.param_types import ParamType

MAX_NUMBER = 999_999_999  # for options without a limit of their own, such as files, frames, steps and minutes
MAX_RATE = 1000  # frames a second

_WHOLE = re.compile(r"[+-]?[0-9]+")
_RATE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?(/[0-9]{1,9})?")
_LONGEST = 20  # characters of a number: 2**63 and its sign; longer ones are shortened in messages


def shorten(text: str) -> str:
    """Shorten a text for a message."""
    return repr(text if len(text) <= 2 * _LONGEST else f"{text[:_LONGEST]}...")


def parse_whole(text: str, most: float = MAX_NUMBER) -> int:
    """Parse a whole number. Raises ValueError for other texts and for magnitudes over `most`."""
    if not _WHOLE.fullmatch(text.strip()):
        raise ValueError(f"{shorten(text)} is no whole number.")
    if len(text) > _LONGEST or abs(int(text)) > most:
        raise ValueError(f"{shorten(text)} is too large.")
    return int(text)


def parse_number(text: str, most: float = MAX_NUMBER) -> float:
    """Parse a finite number. Raises ValueError for other texts and for magnitudes over `most`."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if math.isnan(found):
        raise ValueError(f"{shorten(text)} is no number.")
    if math.isinf(found) or abs(found) > most:
        raise ValueError(f"{shorten(text)} is too large.")
    return found


class Whole(click.IntRange):
    """A whole number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Text -> number."""
        try:
            found = parse_whole(str(value), MAX_NUMBER if self.max is None else math.inf)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return int(super().convert(found, param, ctx))


class Number(click.FloatRange):
    """A number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Text -> number."""
        try:
            found = parse_number(str(value), MAX_NUMBER if self.max is None else math.inf)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return float(super().convert(found, param, ctx))


class OrAuto(ParamType[int | None]):
    """A whole number from 1 on, or auto, which becomes None."""

    name = "n|auto"

    def __init__(self, what: str) -> None:
        """what: the message for other texts, such as "is no rhythm; write 1, 4 or auto"."""
        self._what = what

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Text -> number."""
        text = str(value)
        if text.lower() == "auto" or value is None:
            return None
        try:
            found = parse_whole(text)
        except ValueError:
            found = 0
        if found < 1:
            self.fail(f"{shorten(text)} {self._what}.", param, ctx)
        return found


class Rate(ParamType[Fraction]):
    """Frames a second: 24, 23.976 or 24000/1001."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        """Text -> frames a second."""
        text = str(value).strip()
        try:
            rate = Fraction(text).limit_denominator(100_000) if _RATE.fullmatch(text) else Fraction(0)
        except (ValueError, ZeroDivisionError):
            rate = Fraction(0)
        if not 0 < rate <= MAX_RATE:
            self.fail(
                f"{shorten(text)} is no rate; write 24, 23.976 or 24000/1001, up to {MAX_RATE} a second.", param, ctx
            )
        return rate
