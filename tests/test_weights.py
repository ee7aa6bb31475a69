"""A model file is loaded whole and right, or refused with one clear line."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vidcolor import weights
from vidcolor.errors import ModelError


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
    packaged = weights.packaged()
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
