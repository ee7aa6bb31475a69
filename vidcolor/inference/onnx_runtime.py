"""ONNX files on GPUs, by onnxruntime where it is installed with them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidcolor.color import Floats
from vidcolor.errors import DeviceError, ModelError
from vidcolor.inference.devices import OutOfMemoryError
from vidcolor.system import limits

ADVICE = "pip install onnxruntime-gpu, or try --device cpu"


def version() -> str:
    """The release of onnxruntime; "" where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return ""
    return str(onnxruntime.__version__)


class OnnxRuntime:
    """A session of onnxruntime on one device."""

    def __init__(self, path: Path, device: str):
        """device: cpu, or cuda:0. Raises DeviceError, ModelError."""
        try:
            import onnxruntime
        except ImportError as error:
            raise DeviceError(f"{path}: ONNX files on {device} need onnxruntime: {ADVICE}.") from error
        kind, _, index = device.partition(":")
        provider = "CUDAExecutionProvider" if kind == "cuda" else "CPUExecutionProvider"
        if provider not in onnxruntime.get_available_providers():
            raise DeviceError(f"{path}: this onnxruntime has no {provider}: {ADVICE}.")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors are raised, too
        settings = {"device_id": index or "0"} if kind == "cuda" else {}
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=[(provider, settings)])
        except Exception as error:  # its errors have no common class
            raise ModelError(f"{path}: does not run in onnxruntime ({' '.join(str(error).split())[:160]}).") from error
        if self._session.get_providers()[0] != provider:  # it falls back without a word
            raise DeviceError(f"{path}: onnxruntime cannot use {device}: {ADVICE}.")
        self.name = f"onnxruntime on {device}"
        self._inputs = [
            (port.name, np.float16 if "float16" in port.type else np.float32) for port in self._session.get_inputs()
        ]
        fixed = self._session.get_inputs()[0].shape[0]
        self._batch = fixed if isinstance(fixed, int) else 0  # pictures that it takes at once; 0: any number
        self.preferred_batch = self._batch or 8

    def run(self, inputs: Sequence[Floats]) -> Floats:
        """Run the network: inputs (B, C, h, w) to its output as float32. Raises OutOfMemoryError, ModelError."""
        count = len(inputs[0])
        step = self._batch or count
        spare = -count % step
        filled = [np.concatenate([part, part[-1:].repeat(spare, axis=0)]) for part in inputs]
        done = [self._run([part[start : start + step] for part in filled]) for start in range(0, count, step)]
        return np.concatenate(done)[:count]

    def _run(self, inputs: Sequence[Floats]) -> Floats:
        fed = {name: part.astype(kind) for (name, kind), part in zip(self._inputs, inputs, strict=True)}
        try:
            (output,) = self._session.run(None, fed)
        except Exception as error:  # its errors have no common class
            if limits.is_out_of_memory(error) or "failed to allocate memory" in str(error).lower():
                raise OutOfMemoryError(f"{self.name}: out of memory at batch {len(inputs[0])}.") from error
            raise ModelError(f"{self.name}: does not run ({' '.join(str(error).split())[:160]}).") from error
        return np.asarray(output, np.float32)
