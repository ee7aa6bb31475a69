"""LPIPS, FID and IS as in the papers, by torchmetrics and the weights that it downloads.

The weights cannot be shipped with vidcolor; on a machine without a network they can be copied by hand. Without them
there is the feature distance of photo_metrics, which is not FID.
"""

import math
import pickle
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Literal

import torch
from torch import Tensor

from vidcolor.errors import ModelError
from vidcolor.evaluation.photos import Metric
from vidcolor.stills.rgb import Rgb

LPIPS_NET: Literal["squeeze"] = "squeeze"  # SqueezeNet 1.1; colorization papers use it or AlexNet, and say which
FID_FEATURES = 2048  # of Inception's last pooling, as in the paper
IS_SEED = 0  # the score depends on how pictures are split into ten groups
REQUIRED_PACKAGES = {
    "lpips": ("torchmetrics",),
    "fid": ("torchmetrics", "torch_fidelity"),
    "is": ("torchmetrics", "torch_fidelity"),
}


def load_metrics(names: Sequence[str], device: str = "cpu") -> list[Metric]:
    """Load the named metrics ("lpips", "fid", "is") and their weights, downloading them if necessary.

    Raises ModelError that says what is missing and how to get it.
    """
    for name in names:
        if missing := [package for package in REQUIRED_PACKAGES[name] if find_spec(package) is None]:
            raise ModelError(
                f"--metric {name}: needs {' and '.join(missing).replace('_', '-')}."
                " Run: pip install torchmetrics torch-fidelity"
            )
    makers: dict[str, Callable[[torch.device], Metric]] = {"lpips": Lpips, "fid": Fid, "is": InceptionScore}
    return [makers[name](torch.device(device)) for name in dict.fromkeys(names)]


def _load(name: str, make: Callable[[], Any]) -> Any:
    """Make a metric; raises ModelError where its weights are missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside torchmetrics
            return make()
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        pickle.UnpicklingError,
    ) as error:  # no network, no file, or a damaged file
        folder = f"{torch.hub.get_dir()}/checkpoints"
        reason = " ".join(str(error).split())[:120]
        raise ModelError(
            f"--metric {name}: its weights are missing and cannot be downloaded ({reason})."
            f" Save {_weights_url(name)} into {folder} and try again."
        ) from error


def _weights_url(name: str) -> str:
    if name == "lpips":
        from torchvision.models import SqueezeNet1_1_Weights

        return str(SqueezeNet1_1_Weights.DEFAULT.url)
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return str(URL_INCEPTION_V3)


def _to_tensor(picture: Rgb, device: torch.device) -> Tensor:
    """Convert to (1, 3, H, W), uint8."""
    return torch.tensor(picture, device=device).permute(2, 0, 1)[None].contiguous()


class Lpips:
    """Learned perceptual distance to the truth (Zhang et al. 2018), SqueezeNet, mean over photos; 0 is equal."""

    name = "lpips"

    def __init__(self, device: torch.device) -> None:
        """Raises ModelError without weights."""

        def make() -> Any:
            from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

            return LearnedPerceptualImagePatchSimilarity(LPIPS_NET, normalize=True)

        self._device = device
        self._distance = _load(self.name, make).to(device)
        self._distances: dict[str, list[float]] = defaultdict(list)

    @torch.inference_mode()
    def update(self, method: str, picture: Rgb, truth: Rgb) -> None:
        """See photos.Metric."""
        if method == "truth":
            return
        pair = (_to_tensor(each, self._device).float() / 255 for each in (picture, truth))
        self._distances[method].append(float(self._distance(*pair)))

    def compute(self, method: str) -> float:
        """Mean distance."""
        if method == "truth":
            return 0.0
        return sum(self._distances[method]) / len(self._distances[method]) if self._distances[method] else math.nan


class Fid:
    """Fréchet inception distance to the truth (Heusel et al. 2017), 2048 features; NaN for a single photo."""

    name = "fid"

    def __init__(self, device: torch.device) -> None:
        """Raises ModelError without weights."""
        self._device = device
        self._network = _load_inception(self.name, str(FID_FEATURES), device)
        self._metrics: dict[str, Any] = {}

    @torch.inference_mode()
    def update(self, method: str, picture: Rgb, truth: Rgb) -> None:  # noqa: ARG002 - the truth is updated as a method too
        """See photos.Metric."""
        self._metric(method).update(_to_tensor(picture, self._device), real=method == "truth")

    @torch.inference_mode()
    def compute(self, method: str) -> float:
        """Distance between the sets."""
        metric, truth = self._metric(method), self._metric("truth")
        if method == "truth" or truth.real_features_num_samples < 2:
            return 0.0 if method == "truth" else math.nan
        for state in ("real_features_sum", "real_features_cov_sum", "real_features_num_samples"):
            setattr(metric, state, getattr(truth, state))  # computed once, not for every method
        return float(metric.compute())

    def _metric(self, method: str) -> Any:
        if method not in self._metrics:
            from torchmetrics.image.fid import FrechetInceptionDistance

            self._metrics[method] = FrechetInceptionDistance(self._network).to(self._device)
        return self._metrics[method]


class InceptionScore:
    """Inception score (Salimans et al. 2016), mean over ten groups; the truth is not used."""

    name = "is"

    def __init__(self, device: torch.device) -> None:
        """Raises ModelError without weights."""
        self._device = device
        self._network = _load_inception(self.name, "logits_unbiased", device)
        self._metrics: dict[str, Any] = {}

    @torch.inference_mode()
    def update(self, method: str, picture: Rgb, truth: Rgb) -> None:  # noqa: ARG002
        """See photos.Metric."""
        if method not in self._metrics:
            from torchmetrics.image.inception import InceptionScore as Metric

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of its memory: 1008 numbers for each photo
                self._metrics[method] = Metric(self._network).to(self._device)
        self._metrics[method].update(_to_tensor(picture, self._device))

    @torch.inference_mode()
    def compute(self, method: str) -> float:
        """1 or more; higher is better."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(IS_SEED)
            mean, _ = self._metrics[method].compute()
        return float(mean)


def _load_inception(name: str, output: str, device: torch.device) -> Any:
    """Load torch-fidelity's Inception-v3 of 2015: uint8 (B, 3, H, W) -> (B, C)."""

    def make() -> Any:
        from torchmetrics.image.fid import NoTrainInceptionV3

        network = NoTrainInceptionV3("inception-v3-compat", [output])
        network.num_features = FID_FEATURES  # read by torchmetrics
        return network

    return _load(name, make).to(device)
