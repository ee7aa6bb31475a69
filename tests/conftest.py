"""Fixtures that every test may ask for."""

import os

# Two test processes share two cores: threads beside another process would wait for each other. Before NumPy is loaded,
# and for the processes that tests start.
for library in ("OPENBLAS", "MKL", "OMP"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import io
import signal
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vidcolor.inference import weights
from vidcolor.inference.settings import ModelSettings
from vidcolor.networks import build

torch.set_num_threads(1)  # the networks here are tiny; two threads beside another process would wait for each other

# A job in the background ignores SIGINT, and so would the programs that tests stop with it.
signal.signal(signal.SIGINT, signal.default_int_handler)

KILLS = int(os.environ.get("VIDCOLOR_KILLS", "3"))  # how often a test kills the program; .ci/run says 20

# The files that take longest come first, so that two processes end together. By seconds of processor time.
LONGEST = (
    "test_cluster", "test_films_resume", "test_evaluation_command", "test_training_processes", "test_media_reading",
    "test_training_recipes", "test_docs", "test_batch", "test_archives_folder_watcher", "test_benchmarks",
    "test_cli_signals", "test_stills_budget", "test_doctor", "test_wheel", "test_training", "test_archives_resume",
    "test_disks", "test_painting_regions", "test_stills", "test_formats", "test_cli", "test_fuzz", "test_api",
    "test_inference_export", "test_cli_streams", "test_completion",
)  # fmt: skip

TINY_CONFIG = {"width": 4, "depth": 5, "dropout": 0.0}


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # pytest-xdist would begin with the files of the most tests
        # A process that crashed ends the run: pytest-xdist would run the same test again, and then may wait for ever.
        config.option.maxworkerrestart = "0"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file with a tiny random pix2pix network: the whole tool in milliseconds."""
    torch.manual_seed(1)
    network = build("pix2pix", TINY_CONFIG)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3)  # fresh weights are so small that everything would stay gray
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    weights.save(path, network, weights.ModelHeader("pix2pix", TINY_CONFIG, "tiny", "0", size=64))
    return path


@pytest.fixture(scope="module")
def colorizer():
    """The default model, on the CPU; files that want another have a `colorizer` of their own."""
    with ModelSettings(device="cpu").load() as loaded:
        yield loaded


@pytest.fixture(scope="session")
def kills() -> int:
    """How often a process is to be killed and started again."""
    return KILLS


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory):
    """Converted networks and added models go to a folder of the test run, in its processes too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDCOLOR_MODELS", str(tmp_path_factory.mktemp("models")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar of 12 pictures whose color follows from their brightness: dark is blue, light is orange."""
    path = tmp_path_factory.mktemp("photos") / "photos.tar"
    with tarfile.open(path, "w") as archive:
        for number in range(12):
            y, x = np.mgrid[:120, :160] / 30 + number
            light = (np.sin(x) * np.cos(y) + 1) / 2
            rgb = np.stack([60 + 180 * light, 70 + 110 * light, 150 - 80 * light], axis=2).astype(np.uint8)
            content = io.BytesIO()
            Image.fromarray(rgb).save(content, "png")
            member = tarfile.TarInfo(f"{'period' if number % 3 == 0 else 'street'}/{number:02}.png")
            member.size = content.tell()
            content.seek(0)
            archive.addfile(member, content)
    return path
