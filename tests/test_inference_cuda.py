"""A GPU gives what the eager network gives, whatever the shapes; without one, the rules are tried on a stand-in."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from vidcolor.inference import cuda, weights
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.cuda import MAX_GRAPHS, CapturedGraph, GraphedNetwork
from vidcolor.inference.devices import OutOfMemoryError
from vidcolor.inference.torch_backend import TorchBackend

RANDOM = np.random.default_rng(5)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def lightness(*shape: int) -> np.ndarray:
    return (RANDOM.random(shape) * 100).astype(np.float32)


class Doubling(nn.Module):
    """Answers a = 2 L*, b = -L*."""

    def forward(self, lightness_b1hw: torch.Tensor) -> torch.Tensor:
        return torch.cat([2 * lightness_b1hw, -lightness_b1hw], dim=1)


class FakeGraph:
    """Does what was recorded."""

    def __init__(self, network: GraphedNetwork, lightness_b1hw: torch.Tensor, ab_b2hw: torch.Tensor):
        self._network, self._in, self._out, self.replays = network, lightness_b1hw, ab_b2hw, 0

    def replay(self) -> None:
        self.replays += 1
        self._out.copy_(self._network._forward(self._in))


class OnNoGpu(GraphedNetwork):
    """Records, by a fake, what fits into `memory` pixels."""

    def __init__(self, memory: int = 1 << 20):
        super().__init__(Doubling(), torch.device("cpu"), torch.float32)
        self.memory, self.asked = memory, []

    def _capture(self, shape: tuple[int, ...]) -> CapturedGraph:
        self.asked.append(shape)
        if np.prod(shape) > self.memory:
            raise torch.OutOfMemoryError("CUDA out of memory")
        batch = torch.zeros(shape)
        ab = self._forward(batch)
        return CapturedGraph(FakeGraph(self, batch, ab), batch, ab)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(cuda, "_pin", torch.from_numpy)
    monkeypatch.setattr(cuda, "_fetch", lambda ab: ab.clone().numpy())


def is_right(network: GraphedNetwork, *shape: int) -> bool:
    batch = lightness(*shape)
    return np.array_equal(network(batch), np.concatenate([2 * batch, -batch], axis=1))


@pytest.mark.usefixtures("no_gpu")
def test_a_shape_is_recorded_when_it_comes_again():
    network = OnNoGpu()
    assert is_right(network, 4, 1, 8, 8)
    assert not network.asked
    for _ in range(3):
        assert is_right(network, 4, 1, 8, 8)
    assert network.asked == [(4, 1, 8, 8)]
    assert network._graphs[4, 1, 8, 8].graph.replays == 3
    assert is_right(network, 3, 1, 8, 8)  # a film's last batch
    assert network.asked == [(4, 1, 8, 8)]


@pytest.mark.usefixtures("no_gpu")
def test_what_cannot_be_recorded_runs_eagerly_and_is_not_tried_again():
    network = OnNoGpu(memory=10)
    assert all(is_right(network, 4, 1, 8, 8) for _ in range(4))
    assert network.asked == [(4, 1, 8, 8)]


@pytest.mark.usefixtures("no_gpu")
def test_few_recordings_are_kept():
    network = OnNoGpu()
    for batch in range(1, MAX_GRAPHS + 3):
        assert is_right(network, batch, 1, 8, 8)
        assert is_right(network, batch, 1, 8, 8)
        assert is_right(network, 1, 1, 8, 8)  # in use all the time
    assert len(network._graphs) == MAX_GRAPHS
    assert (1, 1, 8, 8) in network._graphs
    assert network.asked.count((1, 1, 8, 8)) == 1


@pytest.mark.usefixtures("no_gpu")
def test_out_of_memory_lets_go_of_what_was_recorded():
    network = OnNoGpu()
    assert all(is_right(network, 4, 1, 8, 8) for _ in range(2))

    def full(_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    network._network = full
    with pytest.raises(torch.OutOfMemoryError):
        network(lightness(8, 1, 8, 8))
    assert not network._graphs


def test_out_of_memory_is_told_so_that_the_batch_is_halved(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    network, header = weights.load(tiny_model)
    backend = TorchBackend(network, "cpu", "fp32")
    run, batches = backend._run, []

    def small(batch: np.ndarray) -> np.ndarray:
        batches.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(batch)

    monkeypatch.setattr(backend, "_run", small)
    with pytest.raises(OutOfMemoryError):
        backend(lightness(4, 1, 64, 64))
    with Colorizer([backend], header, batch_size=8) as colorizer:
        assert len(colorizer.predict(list(lightness(5, 64, 64)))) == 5
    assert batches == [4, 5, 2, 2, 1]


@needs_gpu
@pytest.mark.parametrize(("precision", "near"), [("fp32", 0.5), ("bf16", 3.0), ("fp16", 1.0)])  # fp32 is TF32 there
def test_a_gpu_gives_what_the_cpu_gives(tiny_model: Path, precision: str, near: float):
    on_gpu = TorchBackend(weights.load(tiny_model)[0], "cuda:0", precision)
    on_cpu = TorchBackend(weights.load(tiny_model)[0], "cpu", "fp32")
    for shape in ((8, 1, 64, 96), (8, 1, 64, 96), (8, 1, 64, 96), (3, 1, 64, 96), (2, 1, 96, 64), (8, 1, 64, 96)):
        batch = lightness(*shape)
        assert np.abs(on_gpu(batch) - on_cpu(batch)).mean() < near


@needs_gpu
@pytest.mark.parametrize("model", ["tiny", "default"])
def test_recordings_give_what_the_eager_network_gives(tiny_model: Path, model: str):
    path = tiny_model if model == "tiny" else weights.find("default")
    device = torch.device("cuda:0")
    network = weights.load(path)[0].to(device).to(memory_format=torch.channels_last).eval()
    graphed = GraphedNetwork(network, device, torch.bfloat16)
    for shape in [(16, 1, 64, 96), (4, 1, 128, 64)] * 3 + [(5, 1, 64, 96)]:
        batch = lightness(*shape)
        eager = GraphedNetwork(network, device, torch.bfloat16)(batch)
        assert np.abs(graphed(batch) - eager).max() < 2  # a*b* units; bf16 keeps 8 bits
    assert [recording is not None for recording in graphed._graphs.values()] == [True, True]


@needs_gpu
def test_results_outlive_the_next_batch(tiny_model: Path):
    backend = TorchBackend(weights.load(tiny_model)[0], "cuda:0", "bf16")
    batch = lightness(4, 1, 64, 64)
    backend(batch)
    kept = backend(batch)
    copy = kept.copy()
    backend(lightness(4, 1, 64, 64))
    assert np.array_equal(kept, copy)


@needs_gpu
def test_a_gpu_that_is_full_says_so(tiny_model: Path):
    backend = TorchBackend(weights.load(tiny_model)[0], "cuda:0", "bf16")
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.001)
    try:
        with pytest.raises(OutOfMemoryError):
            backend(np.zeros((64, 1, 1024, 1024), np.float32))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
