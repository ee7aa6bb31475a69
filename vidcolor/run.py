"""What decides an output's bytes: results of two different runs must not be mixed in one output."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

# Settings that describe the machine and its libraries: two machines may differ in them with the same options.
MACHINE = ("precision", "backend", "OpenCV", "film libraries")
PROJECT = "--project"
LAST_FRAME = 1 << 40  # later than any
_CONTENT = re.compile(r"(?P<times>.*) (?P<content>(whole|sampled):[0-9a-f]{64})")


@dataclass(frozen=True)
class Run:
    """The identity of a run over a film or over many files."""

    model_sha256: str  # of the model's file
    # Options, and what else decides: "--crf": "18", "precision": "bf16", "vidcolor": "0.1.0".
    settings: Mapping[str, str] = field(default_factory=dict)
    source: str = ""  # identity of the film or archive; "" for folders, whose files are checked one by one
    settings_hash: str = ""  # of the settings of a run over many files, as vidcolor 0.1.0 stored them
    # What is said of the output's frames: first, last, and a hash. None: unknown; all of the project is of every frame.
    said: Sequence[tuple[int, int, str]] | None = None

    def says_of(self, first: int, last: int) -> list[tuple[int, int, str]]:
        """What is said of some frames."""
        return [
            (max(first, begin), min(last, end), what)
            for begin, end, what in self.said or ()
            if begin <= last and end >= first
        ]

    def changes_of_all(self, before: "Run") -> list[str]:
        """Changes that concern every frame; see `changes`."""
        if self.said is None or before.said is None:
            return self.changes(before)
        mine, other = (replace(run, settings={**run.settings, PROJECT: ""}) for run in (self, before))
        return mine.changes(other)

    def changes(self, before: "Run", *, is_any_machine: bool = False) -> list[str]:
        """The differences from an earlier run, each in a few words: "--crf was 18, is 20".

        is_any_machine: ignore differences between machines (MACHINE) if the options are the same.
        """
        found = [] if is_same_input(self.source, before.source) else ["the input has changed"]
        found += ["the model has changed"] if self.model_sha256 != before.model_sha256 else []
        if before.settings_hash and not before.settings:
            return found + (["the settings have changed"] if self.settings_hash != before.settings_hash else [])
        is_told, was_told = (run.settings if is_any_machine else run._comparable_settings() for run in (self, before))
        for name in sorted({*is_told, *was_told}):
            old, new = was_told.get(name, "-"), is_told.get(name, "-")
            if name == "--precision" and self._has_precision_of(before):
                continue
            if name in MACHINE and (is_any_machine or "-" in (old, new)):
                continue  # "-" is unknown: vidcolor 0.1.0 did not store it
            found += [] if is_same_input(new, old) else [_describe(name, old, new)]
        return found

    def _has_precision_of(self, before: "Run") -> bool:
        """Whether both came to the same precision, one by auto and one by name."""
        return "precision" in self.settings and self.settings["precision"] == before.settings.get("precision")

    def as_fields(self) -> dict[str, Any]:
        """The fields for a line of a ledger; `Run(**fields)` reads them."""
        fields = {"model_sha256": self.model_sha256, "settings": dict(self.settings), "source": self.source}
        said = {} if self.said is None else {"said": [list(entry) for entry in self.said]}
        return fields | ({"settings_hash": self.settings_hash} if self.settings_hash else {}) | said

    def _comparable_settings(self) -> dict[str, str]:
        """The settings. For films, vidcolor 0.1.0 stored the option --precision, which can be auto."""
        told = dict(self.settings)
        option = told.pop("--precision", "auto")
        return told if option == "auto" else {"precision": option} | told


def is_same_input(now: str, before: str) -> bool:
    """Whether two identities (media/identity.py) name the same input. vidcolor 0.1.0 stored only sizes and times."""
    new, old = _CONTENT.fullmatch(now), _CONTENT.fullmatch(before)
    if new and old:
        return new["content"] == old["content"]
    return (new["times"] if new else now) == (old["times"] if old else before)


def _describe(name: str, old: str, new: str) -> str:
    """A changed setting by its option on the command line."""
    unset = "auto" if name == "--every" else "not given"
    was, now = (unset if value in ("None", "") else value for value in (old, new))
    if name in ("--hints", PROJECT) and "not given" not in (was, now):
        return f"{name} {'say' if name == '--hints' else 'says'} something else"
    return f"{'--reference' if name == '--references' else name} was {was}, is {now}"
