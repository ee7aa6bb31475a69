"""What decides a film's output, to be compared when an unfinished film is resumed."""

from collections.abc import Mapping
from dataclasses import dataclass

from vidcolor.errors import SinkError
from vidcolor.media.identity import is_same

_MACHINE_SETTINGS = ("precision", "backend", "OpenCV", "film libraries")  # what computed, whatever the options


class ChangedError(SinkError):
    """The unfinished output was started with another film, model or settings, and cannot be resumed."""


@dataclass(frozen=True)
class FilmRun:
    """What decides the output: segments of two different runs must not be joined. Its fields are stored in ledgers."""

    source: str  # identity of the input; see identity_of
    model_sha256: str
    settings: Mapping[str, str]

    def changes(self, before: "FilmRun") -> list[str]:
        """What differs from an earlier run, one clause each."""
        found = [] if is_same(self.source, before.source) else ["the film has changed"]
        found += ["the model has changed"] if self.model_sha256 != before.model_sha256 else []
        new_settings, old_settings = self._comparable_settings(), before._comparable_settings()
        for name in sorted({*new_settings, *old_settings}):
            old, new = old_settings.get(name, "-"), new_settings.get(name, "-")
            if "-" in (old, new) and name in _MACHINE_SETTINGS:
                continue  # vidcolor 0.1.0 did not store it
            found += [] if is_same(new, old) else [f"{name} was {old}, is {new}"]
        return found

    def _comparable_settings(self) -> dict[str, str]:
        """The settings. vidcolor 0.1.0 stored the option --precision, which can be auto, instead of the precision."""
        settings = dict(self.settings)
        option = settings.pop("--precision", "auto")
        return settings if option == "auto" else {"precision": option} | settings
