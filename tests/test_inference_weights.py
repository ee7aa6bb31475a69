"""A model file is loaded whole and right, or refused with one clear line."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import old_models
import pytest
import torch
from safetensors.torch import load_file, save_file

from vidcolor.errors import ModelError, SinkError, UsageError
from vidcolor.inference import weights
from vidcolor.networks import build


def test_saved_weights_come_back(tiny_model: Path):
    network, header = weights.load(tiny_model)
    assert header.name == "tiny"
    stored = load_file(tiny_model)
    for name, value in network.state_dict().items():
        if name in stored:
            assert torch.equal(value, stored[name].float())


def test_header_is_read_without_torch_weights(tiny_model: Path):
    assert weights.read_header(tiny_model).size == 64


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 64, b"\x02\x00\x00\x00\x00\x00\x00\x00{}"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a vidcolor model"):
        weights.load(path)


def test_weights_that_do_not_fit_are_refused(tiny_model: Path, tmp_path: Path):
    tensors = load_file(tiny_model)
    tensors.pop(next(iter(tensors)))
    path = tmp_path / "short.safetensors"
    header = {weights.HEADER_KEY: json.dumps({"generator": "pix2pix", "config": {"width": 4, "depth": 5}, "name": "x",
                                              "version": "0"})}  # fmt: skip
    save_file(tensors, path, metadata=header)
    with pytest.raises(ModelError, match="do not fit"):
        weights.load(path)


def test_a_cut_off_file_is_refused(tiny_model: Path, tmp_path: Path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(tiny_model.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged"):
        weights.load(path)


def test_an_unknown_name_tells_the_known_ones():
    with pytest.raises(ModelError, match="default"):
        weights.find("defualt")


def test_the_packaged_models_are_what_their_cards_say():
    packaged = weights.packaged_models()
    assert [path.stem for path in packaged].count("default") == 1
    for path in packaged:
        assert weights.verify(path) in path.with_suffix(".md").read_text(encoding="utf-8")


def test_a_model_that_differs_from_its_card_is_noticed(tiny_model: Path, tmp_path: Path):
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(tiny_model.read_bytes())
    path.with_suffix(".md").write_text("sha256: " + "0" * 64, encoding="utf-8")
    with pytest.raises(ModelError, match="its card says"):
        weights.verify(path)


def test_changed_weights_are_noticed(tiny_model: Path, tmp_path: Path):
    content = bytearray(tiny_model.read_bytes())
    content[-3] ^= 1
    changed = tmp_path / "changed.safetensors"
    changed.write_bytes(content)
    with pytest.raises(ModelError, match="sha256 is not the header's"):
        weights.load(changed)


@pytest.fixture
def relative(tiny_model: Path, tmp_path: Path) -> Callable[[str, float], Path]:
    """Makes models like the tiny one with every weight moved."""
    network, header = weights.load(tiny_model)

    def make(name: str, moved: float) -> Path:
        other = build(header.generator, header.config)
        other.load_state_dict(network.state_dict())
        with torch.no_grad():
            for parameter in other.parameters():
                parameter += moved
        weights.save(tmp_path / f"{name}.safetensors", other, replace(header, name=name))
        return tmp_path / f"{name}.safetensors"

    return make


def test_the_average_lies_between_and_a_model_named_twice_counts_twice(relative: Callable[[str, float], Path]):
    one, other = relative("one", 0.0), relative("other", 0.75)
    start = dict(weights.load(one)[0].named_parameters())
    network, header = weights.average([one, one, other])
    for name, parameter in network.named_parameters():
        assert torch.allclose(parameter, start[name] + 0.25, atol=2e-3)
    assert [source["name"] for source in header.notes["average_of"]] == ["one", "one", "other"]
    assert header.name == "one"


def test_averaging_leaves_what_is_no_weight_as_it_was(relative: Callable[[str, float], Path], tmp_path: Path):
    one, other = relative("one", 0.0), relative("other", 0.5)
    network, header = weights.average([one, other])
    weights.save(tmp_path / "mean.safetensors", network, header)
    assert weights.verify(tmp_path / "mean.safetensors")
    dtypes = {name: value.dtype for name, value in weights.load(one)[0].state_dict().items()}
    assert {name: value.dtype for name, value in network.state_dict().items()} == dtypes


def test_models_of_other_shapes_or_bins_are_not_averaged(tiny_model: Path, tmp_path: Path):
    with pytest.raises(ModelError, match="cannot be averaged"):
        weights.average([tiny_model, weights.find("default")])
    network, header = weights.load(weights.find("default"))
    network.get_buffer("bins_2K").mul_(-1)
    weights.save(tmp_path / "other-bins.safetensors", network, header)
    with pytest.raises(ModelError, match=r"other-bins\.safetensors: cannot be averaged.*color bins"):
        weights.average([weights.find("default"), tmp_path / "other-bins.safetensors"])


def test_how_colors_are_read_out_may_differ_and_is_the_firsts(tmp_path: Path):
    network, header = weights.load(weights.find("default"))
    vivid = replace(header, config=header.config | {"saturation": 2.0})
    weights.save(tmp_path / "vivid.safetensors", network, vivid)
    _, found = weights.average([weights.find("default"), tmp_path / "vivid.safetensors"])
    assert found.config == header.config


def test_a_place_where_no_model_can_be_written_is_told_before_the_work(tmp_path: Path):
    (tmp_path / "there.safetensors").write_text("")
    with pytest.raises(UsageError, match="needs the suffix"):
        weights.check_output(tmp_path / "model.pt", overwrite=False)
    with pytest.raises(SinkError, match="exists already"):
        weights.check_output(tmp_path / "there.safetensors", overwrite=False)
    weights.check_output(tmp_path / "there.safetensors", overwrite=True)
    weights.check_output(tmp_path / "new" / "model.safetensors", overwrite=False)


def test_a_model_that_cannot_be_written_is_one_line_and_leaves_nothing(tiny_model: Path, tmp_path: Path):
    network, header = weights.load(tiny_model)
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(SinkError, match=r"model\.safetensors: cannot be written"):
        weights.save(tmp_path / "model.safetensors", network, header)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("generator", old_models.MODELS)
def test_a_model_of_0_1_0_loads_and_answers_as_it_did(generator: str, tmp_path: Path):
    answers = old_models.write(tmp_path / "old.safetensors", generator)
    network, header = weights.load(tmp_path / "old.safetensors")
    assert (header.version, header.generator) == ("0.1.0", generator)
    with torch.inference_mode():
        ab = network(torch.from_numpy(old_models.LIGHTNESS)).numpy().ravel()
    assert np.allclose(ab[::97], answers, atol=0.05)
    assert max(answers) - min(answers) > 1
