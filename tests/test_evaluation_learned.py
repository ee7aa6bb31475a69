"""LPIPS, FID and IS by torchmetrics, offline: random weights lie where its loaders look for the real ones."""

import math
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from vidcolor import cli
from vidcolor.errors import ModelError
from vidcolor.evaluation import learned_metrics
from vidcolor.evaluation.learned_metrics import load_metrics
from vidcolor.stills.rgb import Rgb

pytest.importorskip("torchmetrics", reason="pip install 'vidcolor[metrics]'")
pytest.importorskip("torch_fidelity", reason="pip install 'vidcolor[metrics]'")
RANDOM = np.random.default_rng(5)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TORCH_HOME with random SqueezeNet and Inception weights."""
    from torch_fidelity import feature_extractor_inceptionv3 as inception
    from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

    home = tmp_path_factory.mktemp("torch")
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(3)
    torch.save(squeezenet1_1().state_dict(), folder / SqueezeNet1_1_Weights.DEFAULT.url.rsplit("/", 1)[-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(inception.FeatureExtractorInceptionV3, "load_state_dict", lambda *_, **__: None)
        network = inception.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    torch.save(network.state_dict(), folder / inception.URL_INCEPTION_V3.rsplit("/", 1)[-1])
    return home


@pytest.fixture
def home(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(weights))
    return weights


def pictures(count: int) -> list[Rgb]:
    return [RANDOM.integers(0, 256, (64 + number, 70, 3), dtype=np.uint8) for number in range(count)]


@pytest.mark.usefixtures("home")
def test_equal_pictures_have_no_distance_and_others_have():
    (lpips,) = load_metrics(["lpips", "lpips"])
    for truth in pictures(2):
        lpips.update("same", truth, truth)
        lpips.update("other", 255 - truth, truth)
        lpips.update("truth", truth, truth)
    assert lpips.compute("same") == 0
    assert lpips.compute("other") > 0.001
    assert lpips.compute("truth") == 0


@pytest.mark.usefixtures("home")
def test_fid_of_the_same_set_is_nothing_and_of_another_is_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learned_metrics, "FID_FEATURES", 64)  # the eigenvalues of 2048 take a minute
    (fid,) = load_metrics(["fid"])
    for truth in pictures(4):
        for way, picture in {"same": truth, "flat": truth // 8, "truth": truth}.items():
            fid.update(way, picture, truth)
    assert fid.compute("truth") == 0
    assert fid.compute("same") == pytest.approx(0, abs=1e-3 * fid.compute("flat"))
    assert fid.compute("flat") > 0


@pytest.mark.usefixtures("home")
def test_fid_of_one_photo_is_not_a_number():
    (fid,) = load_metrics(["fid"])
    for way in ("gray", "truth"):
        fid.update(way, *pictures(1) * 2)
    assert math.isnan(fid.compute("gray"))


@pytest.mark.usefixtures("home")
def test_the_inception_score_is_at_least_one_and_the_same_each_time():
    (score,) = load_metrics(["is"])
    for truth in pictures(4):
        score.update("gray", truth, truth)
    assert score.compute("gray") >= 0.999
    assert score.compute("gray") == score.compute("gray")


@pytest.mark.usefixtures("home")
def test_the_command_prints_what_was_asked_for(photos: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["evaluate", str(photos), "--model", str(tiny_model), "--size", "64", "--limit", "2"]
    assert cli.run([*arguments, "--metric", "lpips"]) == 0
    assert "LPIPS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "file"), [("lpips", "squeezenet1_1"), ("fid", "weights-inception"), ("is", "weights")]
)
def test_missing_weights_are_one_line_before_any_work(
    name: str, file: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
):  # fmt: skip
    def offline(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    assert cli.run(["evaluate", str(photos), "--metric", name]) == 1
    told = capfd.readouterr().err.strip().splitlines()[-1]
    assert f"--metric {name}" in told
    assert file in told
    assert str(tmp_path / "hub") in told
    assert "no network" in told


def test_a_missing_package_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learned_metrics, "find_spec", lambda name: None if name == "torch_fidelity" else object())
    with pytest.raises(ModelError, match=r"torch-fidelity.*pip install"):
        load_metrics(["fid"])
