"""Time the default model's network beside other colorizers' networks, on one device, in one run.

`python benchmarks/networks.py` prints a Markdown table; `--device cuda` measures the first GPU, in bf16. The other
networks have their published shapes and random weights, which cost the same: pix2pix's U-Net-256 and ECCV16. Each
network is timed at its own size and at 256x448.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from films import machine, versions
from torch import nn

from vidcolor.inference import weights
from vidcolor.inference.backends import open_backend
from vidcolor.inference.devices import parse_devices
from vidcolor.networks import build

LARGE = (256, 448)
LEAST_BATCHES = 4  # in each round; a GPU's hold 64 frames
OTHERS = {"pix2pix U-Net-256": ("pix2pix", (256, 256)), "ECCV16": ("eccv16", (256, 256))}


def multiplications(network: nn.Module, size: tuple[int, int]) -> float:
    """Multiply-adds of convolutions and linear layers for one picture, in billions."""
    total = 0

    def count(layer: Any, inputs: Any, output: Any) -> None:
        nonlocal total
        if isinstance(layer, nn.ConvTranspose2d):
            total += inputs[0].numel() * layer.weight.numel() // layer.in_channels
        elif isinstance(layer, nn.Conv2d):
            total += output.numel() * layer.weight.numel() // layer.out_channels
        else:
            total += output.numel() * layer.in_features

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    hooks = [layer.register_forward_hook(count) for layer in network.modules() if isinstance(layer, kinds)]
    with torch.inference_mode():
        network.eval()(torch.full((1, 1, *size), 50.0))
    for hook in hooks:
        hook.remove()
    return total / 1e9


def cost(model: Path, device: str, size: tuple[int, int], frames: int) -> tuple[float, float, str]:
    """Milliseconds a frame by the wall clock and of CPU time, and what it ran on: medians of three rounds."""
    backend = open_backend(model, device, "auto")
    batch = np.full((backend.preferred_batch, 1, *size), 50, np.float32)
    for _ in range(3):  # a GPU records the second batch, and replays it from the third on
        backend(batch)
    frames, rounds = max(frames, LEAST_BATCHES * len(batch)), []
    for _ in range(3):
        wall, cpu, done = time.perf_counter(), time.process_time(), 0
        while done < frames:
            backend(batch)
            done += len(batch)
        rounds.append(((time.perf_counter() - wall) / done, (time.process_time() - cpu) / done))
    walls, cpus = zip(*rounds, strict=True)
    return 1e3 * median(walls), 1e3 * median(cpus), backend.name


def table(device: str, frames: int, folder: Path) -> str:
    default, header = weights.load(weights.find("default"))
    wide = header.multiple * round(header.size * 16 / 9 / header.multiple)
    networks = {"vidcolor default": (default, weights.find("default"), (header.size, wide))}
    for name, (generator, size) in OTHERS.items():
        network = build(generator, {})
        path = folder / f"{generator}.safetensors"
        stated = weights.ModelHeader(generator, {}, generator, "0", multiple=getattr(network, "multiple", 32))
        weights.save(path, network, stated)
        networks[name] = (network, path, size)
    lines = [
        "| network | million weights | size | GMAC | CPU-ms a frame | ms a frame | frames a second | on |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, (network, path, own) in networks.items():
        millions = sum(weight.numel() for weight in network.parameters()) / 1e6
        for size in (own, LARGE):
            if any(side % weights.read_header(path).multiple for side in size):
                continue  # U-Net-256 halves eight times
            wall, cpu, where = cost(path, device, size, frames)
            gmac = multiplications(network, size)
            shown = f"{size[0]}x{size[1]}"
            spent = f"{cpu:.1f} | {wall:.2f} | {1e3 / wall:.0f}"
            lines.append(f"| {name} | {millions:.1f} | {shown} | {gmac:.2f} | {spent} | {where} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--frames", type=int, default=64, help="at least, in each of three rounds")
    asked = parser.parse_args()
    box = machine()
    print(f"- Machine: {box['cpu']}, {box['cores']} cores, {', '.join(box['cpu_flags'])}")
    print(f"- Versions: {', '.join(f'{name} {number}' for name, number in versions().items())}\n")
    with tempfile.TemporaryDirectory(prefix="vidcolor-benchmark-") as folder:
        print(table(parse_devices(asked.device)[0], asked.frames, Path(folder)))


if __name__ == "__main__":
    main()
