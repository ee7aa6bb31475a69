"""Which model runs, where, and how it looks at pictures."""

from dataclasses import asdict, dataclass, replace
from typing import Self

from vidcolor.inference import weights
from vidcolor.inference.backends import resolve_backend
from vidcolor.inference.colorizer import Colorizer


@dataclass(frozen=True)
class ModelSettings:
    """By the names and with the defaults of the command's options."""

    model: str = "default"  # a packaged model's name, or a file
    device: str = "auto"  # auto, all, cpu, or a list such as cuda:0,cuda:1
    precision: str = "auto"  # auto, fp32, bf16, fp16, int8
    size: int | None = None  # short side in pixels that the network looks at; None: the model's own
    batch_size: int | None = None  # frames a device works at once; None: what suits it
    saturation: float = 1.0  # factor on a*b*, 0 to 4

    def load(self) -> Colorizer:
        """The model, on its devices. Raises ModelError, DeviceError, UsageError."""
        return Colorizer.load(
            self.model, device=self.device, precision=self.precision, size=self.size, batch_size=self.batch_size,
            saturation=self.saturation,
        )  # fmt: skip

    def read_header(self) -> weights.ModelHeader:
        """What the model file says of itself. Raises ModelError."""
        return weights.read_header(weights.find(self.model))

    def sha256(self) -> str:
        """Of the model file. Raises ModelError."""
        return weights.sha256(weights.find(self.model))

    def resolve_backend(self) -> dict[str, str]:
        """What will compute on this machine: "precision", never auto, and "backend". Raises DeviceError, UsageError."""
        return asdict(resolve_backend(self.device, self.precision))

    @property
    def color_options(self) -> dict[str, object]:
        """Options that decide the colors beside the model file, by name."""
        return {"size": self.size, "precision": self.precision, "saturation": self.saturation}

    def for_other_machines(self) -> Self:
        """The same, its model named as other machines know it. Raises ModelError."""
        path = weights.find(self.model)
        return self if path.parent == weights.models_folder() else replace(self, model=str(path.absolute()))
