"""Networks in torch, on GPUs, and on the CPU where OpenVINO is missing.

Shapes: B batch, h w network pixels.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vidcolor.color import Floats
from vidcolor.inference.devices import OutOfMemoryError
from vidcolor.system import forks

if TYPE_CHECKING:
    from torch import nn


def resolve_precision(precision: str, *, is_gpu: bool) -> str:
    """The precision that `auto` means."""
    return ("bf16" if is_gpu else "fp32") if precision == "auto" else precision


class TorchBackend:
    """The generator in torch on one device, in half precision by autocast."""

    def __init__(self, network: "nn.Module", device: str, precision: str, *, name: str = "network"):
        import torch

        forks.prepare_torch()
        self._torch = torch
        self._device = torch.device(device)
        is_gpu = self._device.type == "cuda"
        chosen = resolve_precision(precision, is_gpu=is_gpu)
        self._dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[chosen]
        self._network = network.to(self._device).to(memory_format=torch.channels_last).eval()
        self.name = f"{name} in torch {chosen} on {device}"
        self.preferred_batch = 64 if is_gpu else 2
        self._run: Callable[[Floats], Floats] = self._run_on_cpu
        if is_gpu:
            from vidcolor.inference.cuda import GraphedNetwork

            self._run = GraphedNetwork(self._network, self._device, self._dtype)

    def __call__(self, lightness_B1hw: Floats) -> Floats:
        """See Backend."""
        try:
            return self._run(lightness_B1hw)
        except (self._torch.OutOfMemoryError, MemoryError) as error:
            raise OutOfMemoryError(f"{self.name}: out of memory at batch {len(lightness_B1hw)}.") from error
        except RuntimeError as error:
            if "can't allocate memory" in str(error) or "out of memory" in str(error):
                raise OutOfMemoryError(f"{self.name}: out of memory at batch {len(lightness_B1hw)}.") from error
            raise

    def _run_on_cpu(self, lightness_B1hw: Floats) -> Floats:
        torch = self._torch
        is_half = self._dtype is not torch.float32
        with torch.inference_mode(), torch.autocast("cpu", self._dtype, enabled=is_half):
            batch = torch.from_numpy(lightness_B1hw).to(memory_format=torch.channels_last)
            ab: Floats = self._network(batch).float().numpy()
            return ab


class TorchRunner:
    """Any network in torch on one device in full precision: for what few frames need."""

    def __init__(self, network: "nn.Module", device: str):
        import torch

        forks.prepare_torch()
        self._torch, self._device = torch, torch.device(device)
        self._network = network.to(self._device).eval()

    def run_all(self, inputs: Sequence[Floats]) -> list[Floats]:
        """Run it: inputs (B, C, h, w) each, outputs alike. Raises OutOfMemoryError."""
        torch = self._torch
        try:
            with torch.inference_mode():
                found = self._network(*(torch.from_numpy(part).to(self._device) for part in inputs))
                outputs = found if isinstance(found, tuple) else (found,)
                return [output.float().cpu().numpy() for output in outputs]
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise OutOfMemoryError(f"out of memory on {self._device} at batch {len(inputs[0])}.") from error
