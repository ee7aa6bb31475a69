"""Model files as version 0.1.0 wrote them: names and shapes of its tensors, filled with made-up weights.

`old_models.json` holds, for each generator of 0.1.0, the header that it wrote, the tensors, and some of what its code
answered. Real files have 12 MB; what loads these loads those.
"""

import json
from pathlib import Path

import numpy as np
import safetensors.numpy

MODELS = json.loads(Path(__file__).with_name("old_models.json").read_text(encoding="utf-8"))
LIGHTNESS = np.linspace(0, 100, 64 * 64, dtype=np.float32).reshape(1, 1, 64, 64)


def fill(name: str, shape: list[int], index: int) -> np.ndarray:
    """Weights that neither vanish nor explode, without random numbers; half precision, as they are stored."""
    wave = np.sin(0.37 * np.arange(np.prod(shape, dtype=int)) + index).reshape(shape)
    if name == "bins_2K":
        values = 80 * wave
    elif name.endswith("running_var"):
        values = 1 + np.abs(wave) / 2
    elif len(shape) > 1:
        values = 1.5 * wave / np.sqrt(np.prod(shape[1:]))
    else:
        values = wave / 10 + name.endswith("weight")
    return values.astype(np.float16)


def write(path: Path, generator: str) -> list[float]:
    """Write the model file of a generator; gives what 0.1.0 answered to LIGHTNESS: every 97th of its a*b*."""
    model = MODELS[generator]
    tensors = {name: fill(name, shape, index) for index, (name, shape) in enumerate(model["tensors"].items())}
    safetensors.numpy.save_file(tensors, path, metadata={"vidcolor": json.dumps(model["header"])})
    return model["answers"]
