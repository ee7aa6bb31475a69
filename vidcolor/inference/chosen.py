"""Colorizers of other settings than most of a job has, loaded when they are first needed."""

from dataclasses import dataclass, field
from threading import Lock

from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.settings import ModelSettings


@dataclass
class LoadedColorizers:
    """The colorizers of a job. For several threads."""

    settings: ModelSettings  # of most of it
    colorizer: Colorizer  # with these
    _loaded: dict[ModelSettings, Colorizer] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def load(self, wanted: ModelSettings) -> Colorizer:
        """The colorizer of these settings. Raises ModelError, DeviceError, UsageError, SourceError."""
        if wanted == self.settings:
            return self.colorizer
        with self._lock:
            if wanted not in self._loaded:
                self._loaded[wanted] = self._load(wanted)
            return self._loaded[wanted]

    def _load(self, wanted: ModelSettings) -> Colorizer:
        if wanted.model != self.settings.model:
            return wanted.load()
        chosen = self.colorizer.with_settings(size=self.colorizer.size, saturation=wanted.saturation)
        return chosen if wanted.palette == self.settings.palette else chosen.with_palette(wanted.palette)
