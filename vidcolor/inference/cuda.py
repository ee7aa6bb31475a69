"""Inference on an NVIDIA GPU with CUDA graphs for repeated shapes and pinned memory for copies.

See PyTorch's notes on CUDA semantics, "CUDA Graphs" and "Use pinned memory buffers".
Shapes: B batch, h w network pixels.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vidcolor.color import Floats

MAX_GRAPHS = 4  # each holds its own memory; the least recently used one is dropped
WARM_UPS = 3  # runs before a capture, in which libraries choose their kernels
_capture_lock = threading.Lock()  # PyTorch allows one capture at a time in a process


@dataclass(frozen=True)
class CapturedGraph:
    """A CUDA graph, its input batch and its output a*b*."""

    graph: Any
    lightness_B1hw: Tensor
    ab_B2hw: Tensor


class GraphedNetwork:
    """Runs a network on one GPU, for one thread at a time.

    A shape's first batch runs eagerly, so that a film's last batch and photos of mixed shapes cost no capture; so do
    all batches of a shape whose capture failed.
    """

    def __init__(self, network: nn.Module, device: torch.device, dtype: torch.dtype):
        """network: on the device already.  dtype: of autocast; float32: no autocast."""
        self._network, self._device, self._dtype = network, device, dtype
        self._seen: set[tuple[int, ...]] = set()
        self._graphs: OrderedDict[tuple[int, ...], CapturedGraph | None] = OrderedDict()  # None: capture failed

    def __call__(self, lightness_B1hw: Floats) -> Floats:
        """L* 0..100 -> a*b*. Raises torch.OutOfMemoryError."""
        try:
            with torch.inference_mode(), torch.cuda.device(self._device):
                graph = self._find_graph(lightness_B1hw.shape)
                batch = _pin(lightness_B1hw)
                if graph is None:
                    return _fetch(self._forward(batch.to(self._device, non_blocking=True)))
                graph.lightness_B1hw.copy_(batch, non_blocking=True)
                graph.graph.replay()
                return _fetch(graph.ab_B2hw)
        except torch.OutOfMemoryError:
            self._graphs.clear()  # the next try is a smaller batch, which may need their memory
            torch.cuda.empty_cache()
            raise

    def _forward(self, lightness_B1hw: Tensor) -> Tensor:
        # Weights cast during a capture must not stay in autocast's cache.
        is_half = self._dtype is not torch.float32
        with torch.autocast("cuda", self._dtype, enabled=is_half, cache_enabled=False):
            ab: Tensor = self._network(lightness_B1hw)
        return ab.float().contiguous()

    def _find_graph(self, shape: tuple[int, ...]) -> CapturedGraph | None:
        """Find or capture the graph of a repeated shape; None to run eagerly."""
        if shape not in self._seen:
            self._seen.add(shape)
            return None
        if shape not in self._graphs:
            while len(self._graphs) >= MAX_GRAPHS:
                self._graphs.popitem(last=False)
            try:
                self._graphs[shape] = self._capture(shape)
            except RuntimeError:  # also out of memory: without a graph the batch may fit
                self._graphs[shape] = None
                torch.cuda.empty_cache()
        self._graphs.move_to_end(shape)
        return self._graphs[shape]

    def _capture(self, shape: tuple[int, ...]) -> CapturedGraph:
        lightness = torch.zeros(shape, device=self._device)
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        with _capture_lock:
            aside.wait_stream(here)
            with torch.cuda.stream(aside):
                for _ in range(WARM_UPS):
                    self._forward(lightness)
            here.wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            # Threads of other GPUs keep running; only this one must not do what cannot be captured.
            with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):
                ab = self._forward(lightness)
        return CapturedGraph(graph, lightness, ab)


def _pin(lightness_B1hw: Floats) -> Tensor:
    """Copy to page-locked memory, from which a transfer runs beside the CPU."""
    return torch.from_numpy(lightness_B1hw).pin_memory()


def _fetch(ab_B2hw: Tensor) -> Floats:
    """Copy to the host and wait for the GPU: the only synchronization."""
    host = torch.empty(ab_B2hw.shape, dtype=ab_B2hw.dtype, pin_memory=True)
    host.copy_(ab_B2hw, non_blocking=True)
    torch.cuda.current_stream().synchronize()
    found: Floats = host.numpy()
    return found
