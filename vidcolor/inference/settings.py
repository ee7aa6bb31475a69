"""ModelSettings: which model runs, on which devices, with which options."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from vidcolor.formats import MODEL_GRAPHS
from vidcolor.inference import mixing, palettes, weights
from vidcolor.inference.backends import resolve_backend
from vidcolor.inference.colorizer import Colorizer


@dataclass(frozen=True)
class ModelSettings:
    """Options of a model, with the names and defaults of the command line."""

    model: str = "default"  # a model's name, a file, or a mixture such as a:0.6+b:0.4
    device: str = "auto"  # auto, all, cpu, or a list such as cuda:0,cuda:1
    precision: str = "auto"  # auto, fp32, bf16, fp16, int8
    size: int | None = None  # short side of the network's input in pixels; None: the model's own
    batch_size: int | None = None  # frames in a device's batch; None: the device's own
    saturation: float = 1.0  # factor on a*b*, 0 to 4
    palette: Path | None = None  # a photo whose range of colors is taken, see palettes

    def load(self) -> Colorizer:
        """Load the model on its devices. Raises ModelError, DeviceError, UsageError."""
        return Colorizer.load(
            self.model, device=self.device, precision=self.precision, size=self.size, batch_size=self.batch_size,
            saturation=self.saturation, palette=self.palette,
        )  # fmt: skip

    def read_header(self) -> weights.ModelHeader:
        """Read the model file's header. Raises ModelError."""
        return mixing.read_header(self.model)

    def identity(self) -> str:
        """Hex sha256 of all of the model that decides colors; of a model of ours its file's. Raises ModelError."""
        return mixing.identity(self.model)

    @property
    def files(self) -> list[Path]:
        """The model's files. Raises ModelError."""
        return [part.path for part in mixing.parse(self.model)]

    @property
    def files_read(self) -> list[Path]:
        """All files that are read: the model's, and the palette. Raises ModelError."""
        return [*self.files, *([self.palette] if self.palette is not None else [])]

    def resolve_backend(self) -> dict[str, str]:
        """The "precision" (never auto) and "backend" used on this machine.

        Raises DeviceError, UsageError, ModelError.
        """
        is_graph = any(path.suffix.lower() in MODEL_GRAPHS for path in self.files)
        return asdict(resolve_backend(self.device, self.precision, is_graph=is_graph))

    @property
    def color_options(self) -> dict[str, object]:
        """Options that change the colors, by name."""
        palette = palettes.digest(self.palette) if self.palette is not None else ""
        return {"size": self.size, "precision": self.precision, "saturation": self.saturation, "palette": palette}

    def for_other_machines(self) -> Self:
        """These settings with a model path that other machines can use. Raises ModelError."""
        parts = [
            part if part.path.parent == weights.models_folder() else replace(part, model=str(part.path.absolute()))
            for part in mixing.parse(self.model)
        ]
        palette = self.palette.absolute() if self.palette is not None else None
        return replace(self, model=mixing.join(parts), palette=palette)
