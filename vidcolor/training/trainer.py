"""Train the default generator on photos: classify every position over bins of the a*b* plane.

Zhang, Isola, Efros, "Colorful Image Colorization" (2016): soft targets over the nearest bins, rare colours
weighed up (weakly: full rebalancing reddens everything grey), annealed mean to read out.
Shapes: B batch, H W pixels, h w positions, K bins.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from vidcolor import __version__, weights
from vidcolor.color import gray_to_lightness, rgb_to_lab
from vidcolor.networks import build
from vidcolor.networks.efficientnet import imagenet_checkpoint
from vidcolor.training.ageing import Ageing, age
from vidcolor.training.photos import Photos

BIN_WIDTH = 10  # a*b* units between bins
NEAREST = 4  # bins that share a target
TARGET_SIGMA = 5.0  # a*b* units
AVERAGE_EVERY = 8  # steps between updates of the weight average


@dataclass(frozen=True)
class Stage:
    """Part of a training run: crop side in pixels, share of the budget, encoder blocks kept frozen."""

    crop: int
    share: float
    frozen_blocks: int


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides how a run goes; saved with the model."""

    minutes: float = 60.0
    steps: int | None = None  # a budget of steps instead of minutes, the same on every machine
    batch: int = 32
    encoder: str = "lite0"
    temperature: float = 0.45  # of the read-out, as are the next two
    saturation: float = 1.0
    size: int = 256  # short side in pixels that the model looks at by default
    stages: tuple[Stage, ...] = (Stage(96, 0.10, 99), Stage(96, 0.40, 6), Stage(128, 0.35, 6), Stage(192, 0.15, 6))
    learning_rate: float = 1e-3
    encoder_learning_rate: float = 2e-4
    weight_decay: float = 0.02
    warmup: float = 0.01  # share of the run
    average_decay: float = 0.99  # per update of the weight average
    uniform_share: float = 0.8  # class weights are 1 / (1-u) prior + u uniform
    favour: tuple[tuple[str, float], ...] = ()  # name pattern and how many times its photos come in a round
    hold_back: tuple[str, int] | None = None  # name pattern and how many of its photos are left out
    ageing: Ageing = field(default_factory=Ageing)
    seed: int = 1
    save_minutes: float = 4.0


@dataclass
class Bins:
    """The colour classes, with tables that turn a quantised a*b* into soft targets."""

    bins_2K: Tensor
    nearest: Tensor  # (256 * 256, NEAREST) bin numbers of a*b* rounded to whole units, offset 128
    shares: Tensor  # (256 * 256, NEAREST), sums to 1
    class_weights_K: Tensor

    @classmethod
    def of(cls, ab_N2: Tensor, uniform_share: float) -> "Bins":
        """Bins that the samples occupy, weighed by how rare they are."""
        cells, counts = (ab_N2 / BIN_WIDTH).round().to(torch.int64).unique(dim=0, return_counts=True)
        cells = cells[counts > max(2, 2e-6 * len(ab_N2))]
        bins_K2 = cells.float() * BIN_WIDTH
        axis = torch.arange(-128, 128, dtype=torch.float32)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1).view(-1, 2)
        distance, nearest = torch.cdist(grid, bins_K2).topk(min(NEAREST, len(bins_K2)), largest=False)
        shares = torch.softmax(-(distance**2) / (2 * TARGET_SIGMA**2), dim=1)
        codes = table_index(ab_N2[:, 0], ab_N2[:, 1])
        prior = torch.zeros(len(bins_K2)).index_add_(0, nearest[codes].flatten(), shares[codes].flatten())
        prior = prior / prior.sum()
        weight = 1 / ((1 - uniform_share) * prior + uniform_share / len(prior))
        return cls(bins_K2.T.contiguous(), nearest, shares, weight / (prior * weight).sum())


def table_index(a: Tensor, b: Tensor) -> Tensor:
    """Row of the target tables for a*, b*."""
    return ((a.round() + 128).clamp(0, 255) * 256 + (b.round() + 128).clamp(0, 255)).long()


def colours(rgb_BHW3: NDArray[np.uint8], stride: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """A batch of sRGB crops -> rgb (B, 3, H, W) in 0..1 and true a*b* (B, 2, H/stride, W/stride)."""
    rgb = torch.from_numpy(rgb_BHW3).to(device).permute(0, 3, 1, 2).float() / 255
    _, a, b = rgb_to_lab(*F.avg_pool2d(rgb, stride).unbind(1))
    return rgb, torch.stack([a, b], dim=1)


def bin_loss(logits_BKhw: Tensor, ab_B2hw: Tensor, bins: Bins) -> Tensor:
    """Cross-entropy with soft targets, rare colours weighed up."""
    codes = table_index(ab_B2hw[:, 0], ab_B2hw[:, 1])
    nearest, shares = bins.nearest[codes], bins.shares[codes]  # (B, h, w, NEAREST)
    log_probability = logits_BKhw.log_softmax(dim=1).permute(0, 2, 3, 1)
    each = -(log_probability.gather(3, nearest) * shares).sum(dim=3)
    weight = (bins.class_weights_K[nearest] * shares).sum(dim=3)
    return (each * weight).mean()


class Trainer:
    """State of a run: network, its average, optimiser, time spent."""

    def __init__(self, sources: list[Path], settings: TrainingSettings, device: str = "cpu"):
        self.sources, self.settings, self.device = sources, settings, torch.device(device)
        self.elapsed = 0.0
        self.step = 0
        self.images = 0
        self.photos: Photos | None = None
        self.network: Any = None
        self.random = torch.Generator().manual_seed(settings.seed)
        torch.manual_seed(settings.seed)

    def _start(self, photos: Photos) -> None:
        samples = []
        for rgb, _ in zip(photos.batches(64, self.settings.seed), range(48), strict=False):
            _, ab = colours(rgb, 4, torch.device("cpu"))
            samples.append(ab.permute(0, 2, 3, 1).reshape(-1, 2))
        self._make(Bins.of(torch.cat(samples), self.settings.uniform_share))
        self.network.encoder.load_imagenet(imagenet_checkpoint(self.settings.encoder))
        self.average.load_state_dict(self.network.state_dict())

    def _make(self, bins: Bins) -> None:
        self.config = {
            "encoder": self.settings.encoder,
            "bins": bins.bins_2K.shape[1],
            "temperature": self.settings.temperature,
            "saturation": self.settings.saturation,
        }
        self.bins = Bins(*(tensor.to(self.device) for tensor in vars(bins).values()))
        self.network = build("binnet", self.config).to(self.device).to(memory_format=torch.channels_last)
        self.network.bins_2K.copy_(bins.bins_2K)
        self.average: nn.Module = build("binnet", self.config).to(self.device)
        encoder = list(self.network.encoder.parameters())
        known = {id(parameter) for parameter in encoder}
        decoder = [parameter for parameter in self.network.parameters() if id(parameter) not in known]
        groups = [
            {"params": decoder, "base": self.settings.learning_rate},
            {"params": encoder, "base": self.settings.encoder_learning_rate},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, weight_decay=self.settings.weight_decay)

    @property
    def progress(self) -> float:
        """Share of the run's budget that is spent, 0..1."""
        if self.settings.steps is not None:
            return min(1.0, self.step / self.settings.steps)
        return min(1.0, self.elapsed / (self.settings.minutes * 60))

    def _enter_stage(self, index: int) -> Iterator[NDArray[np.uint8]]:
        stage = self.settings.stages[index]
        if self.photos is None or self.photos.crop != stage.crop:
            self.photos = None  # make room first: two stages' photos may not fit
            self.photos = Photos(
                self.sources, crop=stage.crop, hold_back=self.settings.hold_back, threads=torch.get_num_threads()
            )
        if self.network is None:
            self._start(self.photos)
        blocks = self.network.encoder._blocks
        self.network.encoder.requires_grad_(True)
        self.network.encoder._conv_stem.requires_grad_(False)
        self.network.encoder._bn0.requires_grad_(False)
        for block in blocks[: stage.frozen_blocks]:
            block.requires_grad_(False)
        favour = np.ones(len(self.photos.names))
        for pattern, factor in self.settings.favour:
            favour[[fnmatch(name, pattern) for name in self.photos.names]] *= factor
        return self.photos.batches(self.settings.batch, self.settings.seed + self.step, favour)

    def run(self, checkpoint: Path, report: Callable[[dict[str, Any]], None]) -> None:
        """Train until the time is spent; resumes from `checkpoint` where it exists."""
        if checkpoint.exists():
            self._restore(checkpoint)
        borders = np.cumsum([stage.share for stage in self.settings.stages]) / sum(
            s.share for s in self.settings.stages
        )
        batches: Iterator[NDArray[np.uint8]] | None = None
        entered, saved, losses = -1, self.elapsed, []
        while self.progress < 1:
            index = min(int(np.searchsorted(borders, self.progress, side="right")), len(borders) - 1)
            if batches is None or index != entered:
                batches, entered = self._enter_stage(index), index
            started = time.monotonic()
            losses.append(self._train_step(next(batches)))
            self.elapsed += time.monotonic() - started
            if self.step % 50 == 0:
                report(
                    {
                        "step": self.step,
                        "progress": round(self.progress, 4),
                        "images": self.images,
                        "minutes": self.elapsed / 60,
                        "crop": self.settings.stages[index].crop,
                        "loss": float(np.mean(losses[-50:])),
                    }
                )
            if self.elapsed - saved > self.settings.save_minutes * 60:
                self._save(checkpoint)
                saved = self.elapsed
        self._save(checkpoint)

    def _train_step(self, rgb_BHW3: NDArray[np.uint8]) -> float:
        self._set_learning_rate()
        self.network.train()
        for module in self.network.encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()  # batches are small; ImageNet's statistics are better than theirs
        rgb, ab = colours(rgb_BHW3, self.network.stride, self.device)
        grey, ab = age(rgb, ab, self.settings.ageing, self.random)
        lightness = gray_to_lightness(grey).contiguous(memory_format=torch.channels_last)
        loss = bin_loss(self.network.logits(lightness), ab, self.bins)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        self.images += len(rgb_BHW3)
        if self.step % AVERAGE_EVERY == 0:
            self._update_average()
        return float(loss.detach())

    def _set_learning_rate(self) -> None:
        warm = min(1.0, self.progress / self.settings.warmup) if self.settings.warmup else 1.0
        factor = warm * 0.5 * (1 + math.cos(math.pi * self.progress))
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * factor

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.settings.average_decay, 1 - 1 / (1 + self.step / AVERAGE_EVERY))
        for mine, theirs in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mine.lerp_(theirs, 1 - decay)
        for average, current in zip(self.average.buffers(), self.network.buffers(), strict=True):
            average.copy_(current)

    def _save(self, checkpoint: Path) -> None:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "config": self.config,
            "optimizer": self.optimizer.state_dict(),
            "bins": {k: v.cpu() for k, v in vars(self.bins).items()},
            "elapsed": self.elapsed,
            "step": self.step,
            "images": self.images,
            "random": self.random.get_state(),
        }
        partial = checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(checkpoint)

    def _restore(self, checkpoint: Path) -> None:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        self._make(Bins(**state["bins"]))
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.elapsed, self.step, self.images = state["elapsed"], state["step"], state["images"]
        self.random.set_state(state["random"])

    def export(self, path: Path, name: str) -> None:
        """Write the averaged weights as a model file."""
        notes = {
            "images": self.images,
            "steps": self.step,
            "minutes": round(self.elapsed / 60, 1),
            "settings": asdict(self.settings),
        }
        weights.save(
            path,
            self.average,
            weights.ModelHeader("binnet", self.config, name, __version__, self.settings.size, notes=notes),
        )
