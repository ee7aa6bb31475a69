"""A model file is a stranger's: whatever it says is one line or a model, in little memory, and soon."""

import json
import os
import re
import struct
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vidcolor import cli, planes
from vidcolor.errors import ModelError
from vidcolor.inference import model_file, weights
from vidcolor.networks import CONFIGS, GENERATORS, build, build_on_meta


@pytest.fixture
def changed(tiny_model: Path, tmp_path: Path) -> Callable[..., Path]:
    """Makes the tiny model again with fields of its header changed."""

    def make(tensors: dict[str, torch.Tensor] | None = None, **fields: Any) -> Path:
        held = load_file(tiny_model) if tensors is None else tensors
        stated = asdict(weights.read_header(tiny_model)) | {"sha256": weights.digest(held)} | fields
        path = tmp_path / "odd.safetensors"
        save_file(held, path, metadata={model_file.HEADER_KEY: json.dumps(stated)})
        return path

    return make


def raw(path: Path, header: str | bytes, values: bytes = b"", length: int | None = None) -> Path:
    """A file of the format with any header."""
    content = header.encode() if isinstance(header, str) else header
    path.write_bytes(struct.pack("<Q", len(content) if length is None else length) + content + values)
    return path


STATED = {"generator": "resunet", "config": {}, "name": "x", "version": "0"}


def stated(**tensors: Any) -> str:
    return json.dumps({"__metadata__": {"vidcolor": json.dumps(STATED)}} | tensors)


@pytest.mark.parametrize(
    ("generator", "config"),
    [
        ("binnet", {"bins": 10_000_000}), ("resunet", {"width": 10**9}), ("pix2pix", {"depth": 10**6}),
        ("pix2pix", {"width": -4}), ("pix2pix", {"width": 4.5}), ("pix2pix", {"width": True}),
        ("pix2pix", {"width": "4"}),
        ("eccv16", {"width": 1e-9}), ("eccv16", {"width": 1e300}), ("binnet", {"widths": [8] * 10**5}),
        ("binnet", {"widths": [8, 8, 8, "8"]}), ("binnet", {"encoder": ["lite0"]}), ("binnet", {"temperature": 0}),
        ("binnet", {"saturation": 1e30}), ("pix2pix", {"outputs": 4}), ("pix2pix", {"self": 1}), ("os.system", {}),
    ],
)  # fmt: skip
def test_a_config_that_no_network_has_is_refused_before_anything_is_built(
    changed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, generator: str, config: dict[str, Any]
):
    for name in GENERATORS:
        monkeypatch.setitem(GENERATORS, name, lambda **_: pytest.fail("was built"))
    with pytest.raises(ModelError, match=r"odd\.safetensors: generator "):
        weights.load(changed(generator=generator, config=config))


def test_layers_that_the_file_does_not_hold_take_no_memory(
    changed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.nn.Module, "to_empty", lambda *_, **__: pytest.fail("was given memory"))
    for config in ({"width": 512, "depth": 10}, {"width": 5, "depth": 5}):
        with pytest.raises(ModelError, match="do not fit generator 'pix2pix' and its config"):
            weights.load(changed(config=config))


def test_every_argument_of_every_generator_has_its_limits():
    for name, generator in GENERATORS.items():
        code = generator.__init__.__code__
        arguments = set(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount])
        assert set(CONFIGS[name]) == arguments
        assert all(value.is_meta for value in build_on_meta(name, {}).state_dict().values())
    assert model_file.MIN_SIZE == planes.GRID


@pytest.mark.parametrize(
    "fields",
    [
        {"size": 0}, {"size": 100_000}, {"size": 64.5}, {"size": None}, {"multiple": 0}, {"multiple": 33},
        {"multiple": 10**9}, {"multiple": True}, {"name": 3}, {"name": "x" * 10_000}, {"name": "\ud800"},
        {"version": ["0"]}, {"config": [1]}, {"config": "width"}, {"notes": "none"}, {"generator": ["pix2pix"]},
        {"sha256": 5}, {"sha256": "0" * 63}, {"unknown": 1}, {"notes": {"minutes": float("nan")}},
        {"config": {"dropout": float("inf")}},
    ],
)  # fmt: skip
def test_a_field_that_no_model_has_is_refused(changed: Callable[..., Path], fields: dict[str, Any]):
    with pytest.raises(ModelError, match=r"odd\.safetensors: ") as refusal:
        weights.load(changed(**fields))
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 600


HALF = {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("header", "values", "match"),
    [
        ("[" * 400_000, b"", "nested"),
        ('{"__metadata__": {"vidcolor": "' + '[' * 200_000 + '"}}', b"", "nested"),
        ('{"a": ' * 60 + "1" + "}" * 60, b"", "nested"),
        ('{"a": 1, "a": 2}', b"", "twice"),
        ('{"a": 1e999}', b"", "for a number"),
        ('{"a": ' + "9" * 5000 + "}", b"", "not a vidcolor model"),
        ("[]", b"", "not a vidcolor model"),
        ('{"__metadata__": [1]}', b"", "not a vidcolor model"),
        ('{"__metadata__": {"vidcolor": 5}}', b"", "not a vidcolor model"),
        ('{"__metadata__": {"vidcolor": "[]"}}', b"", "not a vidcolor model"),
        ('{"__metadata__": {"vidcolor": "{}"}}', b"", "does not say 'generator'"),
        (b'{"\xff": 1}', b"", "not a vidcolor model"),
        (stated(a=5), b"", "not a vidcolor model"),
        (stated(a={**HALF, "data_offsets": [0, 400]}), b"1234", "damaged"),
        (stated(a={**HALF, "data_offsets": [-4, 0]}), b"1234", "damaged"),
        (stated(a={**HALF, "data_offsets": [2, 6]}), b"123456", "damaged"),
        (stated(a=HALF, b=HALF), b"1234", "damaged"),
        (stated(a=HALF), b"12345678", "damaged"),
        (stated(a={**HALF, "shape": [10**9, 10**9]}), b"1234", "damaged"),
        (stated(a={**HALF, "shape": [-2]}), b"1234", "damaged"),
        (stated(a={**HALF, "shape": [1] * 1000}), b"12", "damaged"),
        (stated(a={**HALF, "dtype": "I16"}), b"1234", "type 'I16'"),
        (stated(a={**HALF, "dtype": "BF16"}), b"1234", "type 'BF16'"),
        (stated(a=HALF), b"1234", "do not fit"),
    ],
)  # fmt: skip
def test_a_strange_header_is_one_line_in_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str | bytes, values: bytes, match: str
):
    path = raw(tmp_path / "odd.safetensors", header, values)
    assert cli.run(["models", "verify", str(path)]) == 1
    told = capsys.readouterr().err
    assert re.search(match, told)
    assert told.count("\n") == 1
    if match != "do not fit":
        assert cli.run(["models", "show", str(path)]) == 1


def test_a_header_that_is_larger_than_any_is_not_read(tmp_path: Path):
    path = tmp_path / "odd.safetensors"
    raw(path, stated(), length=90_000_000)
    os.truncate(path, 100_000_000)
    with pytest.raises(ModelError, match="90,000,000 bytes"):
        weights.read_header(path)
    with pytest.raises(ModelError, match="cut off"):
        weights.read_header(raw(path, stated(), length=5_000))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_and_a_folder_are_no_models_and_are_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(ModelError):
            weights.read_header(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused_when_read_and_when_written(
    tiny_model: Path, changed: Callable[..., Path], tmp_path: Path, value: float
):
    tensors = load_file(tiny_model)
    name = min(tensors)
    tensors[name].view(-1)[0] = value
    with pytest.raises(ModelError, match=f"{re.escape(repr(name))} are no finite numbers"):
        weights.load(changed(tensors))
    network, header = weights.load(tiny_model)
    with torch.no_grad():
        network.get_parameter(name).view(-1)[0] = value
    with pytest.raises(ModelError, match="not finite in half precision"):
        weights.save(tmp_path / "new.safetensors", network, header)
    assert not (tmp_path / "new.safetensors").exists()


def test_a_network_that_gives_no_numbers_is_refused(tiny_model: Path, changed: Callable[..., Path]):
    tensors = load_file(tiny_model)
    for name in tensors:
        if name.endswith("running_var"):
            tensors[name].fill_(-1.0)  # a variance below zero has no root
    with pytest.raises(ModelError, match="no colors that are finite"):
        weights.load(changed(tensors))


def test_a_network_that_cannot_run_is_refused(tmp_path: Path):
    config = {"widths": [12, 12, 8, 8], "bins": 4}  # twelve channels are no eight heads
    network = build("binnet", config)
    weights.save(tmp_path / "odd.safetensors", network, weights.ModelHeader("binnet", config, "odd", "0"))
    with pytest.raises(ModelError, match="its network does not run"):
        weights.load(tmp_path / "odd.safetensors")


def test_a_header_that_could_not_be_read_again_is_not_written(tiny_model: Path, tmp_path: Path):
    network, header = weights.load(tiny_model)
    odd = weights.ModelHeader(header.generator, header.config, "x", "0", size=5000)
    with pytest.raises(ModelError, match="size '5000'"):
        weights.save(tmp_path / "new.safetensors", network, odd)


def test_mutated_headers_are_models_or_one_line(tiny_model: Path, tmp_path: Path):
    content = tiny_model.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    random = np.random.default_rng(7)
    path = tmp_path / "odd.safetensors"
    refusals: list[str] = []
    for _ in range(400):
        mutated = bytearray(content)
        for place in random.integers(0, 8 + length, random.integers(1, 4)):
            mutated[place] = random.choice(np.frombuffer(b'0919-"[]{},:.eE \x00\xffN', np.uint8))
        path.write_bytes(mutated)
        try:
            weights.read_header(path)
        except ModelError as error:
            refusals.append(str(error))
    assert len(refusals) > 200
    assert not [refusal for refusal in refusals if "\n" in refusal]


def test_a_card_in_another_encoding_is_no_reason_to_stop(tiny_model: Path, tmp_path: Path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(tiny_model.read_bytes())
    path.with_suffix(".md").write_bytes(b"sha256 \xff\xfe of Stra\xdfe")
    assert cli.run(["models", "show", str(path)]) == 0
    assert weights.verify(path) == weights.sha256(path)
