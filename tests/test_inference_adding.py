"""Models are added under names, tried, measured, mixed, and removed; nothing half-added stays."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from media_fixtures import make_film, packets
from published_fixtures import SIDE, make_onnx

import vidcolor
from vidcolor import cli
from vidcolor.errors import ModelError, UsageError
from vidcolor.inference import library, mixing, trial, weights
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.published.asking import resize
from vidcolor.inference.settings import ModelSettings
from vidcolor.planes import shrink


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of added models."""
    folder = tmp_path / "models"
    monkeypatch.setenv("VIDCOLOR_MODELS", str(folder))
    return folder


def lines(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    told = capsys.readouterr()
    return told.out.splitlines(), told.err.splitlines()


def test_a_model_is_added_shown_used_and_removed(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = make_onnx(tmp_path / "ddcolor_artistic.onnx", 2)
    assert cli.run(["models", "add", str(file)]) == 0
    out, err = lines(capsys)
    assert not err
    assert out[0].startswith("ddcolor_artistic: ddcolor, added as ")
    assert out[1].split(maxsplit=1) == ["license", "Apache-2.0 (its authors')"]
    assert f"a frame at {SIDE} pixels" in out[2]
    assert out[-1].split(maxsplit=1)[1] == "vidcolor film.mp4 -o out.mp4 --model ddcolor_artistic"
    file.unlink()  # its copy counts
    assert cli.run(["models", "list", "--json"]) == 0
    listed = [json.loads(line) for line in lines(capsys)[0]]
    assert [(entry["name"], entry["generator"]) for entry in listed][-1] == ("ddcolor_artistic", "ddcolor")
    assert cli.run(["models", "show", "ddcolor_artistic"]) == 0
    assert any(line.startswith("license    Apache-2.0") for line in lines(capsys)[0])
    assert cli.run(["models", "verify"]) == 0
    assert lines(capsys)[0][-1].startswith("ddcolor_artistic: sound, sha256 ")
    film = make_film(tmp_path / "film.mkv", pts=range(4))
    assert cli.run([str(film), "-o", str(tmp_path / "out.mkv"), "-q", "--model", "ddcolor_artistic"]) == 0
    assert cli.run(["models", "remove", "ddcolor_artistic"]) == 0
    assert not list(models.iterdir())
    lines(capsys)
    assert cli.run([str(film), "-o", str(tmp_path / "o.mkv"), "-q", "--model", "ddcolor_artistic"]) == 1
    (told,) = lines(capsys)[1]
    assert "neither packaged nor added" in told


def test_what_cannot_be_added_leaves_nothing(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    good = make_onnx(tmp_path / "good.onnx", 2)
    upscaler = make_onnx(tmp_path / "x4.onnx", 3, enlarges=True)
    segmentation = make_onnx(tmp_path / "two.onnx", 2, ends_with="Softmax")
    other = make_onnx(tmp_path / "style.onnx", 3, keeps_picture=True, ends_with="Sin", scale=-10.0)
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    rgb = ["--input", "rgb"]
    for arguments, told in (
        ([upscaler], "An upscaler"), ([segmentation], "as a segmentation's do"), ([other], "answers the test picture"),
        ([good, "--name", "a/b"], "a model's name has letters"), ([good, "--name", "x.onnx"], "looks like a file"),
        ([good, "--name", "default"], "a model in the package"), ([good, "--size", "128"], "takes 64 pixels alone"),
        ([good, "--kind", "deoldify"], "is not of kind deoldify"), ([good, "--range", "0..1"], "describe a file of"),
        ([good, "--kind", "lab", *rgb, "--range", "1..0"], "needs black and white"), ([text], "no model file"),
    ):  # fmt: skip
        assert cli.run(["models", "add", *map(str, arguments)]) in (1, 2), arguments
        (line,) = lines(capsys)[1]
        assert told in line
        assert ".adding" not in line  # but the user's own file
        assert not models.exists() or not list(models.iterdir()), arguments
    assert cli.run(["models", "add", str(good)]) == 0
    lines(capsys)
    assert cli.run(["models", "add", str(good)]) == 1
    assert "is there already" in lines(capsys)[1][0]
    assert cli.run(["models", "remove", "bad"]) == 1
    assert "There is: good" in lines(capsys)[1][0]
    assert cli.run(["models", "remove", "../models/good"]) == 1
    assert library.names() == ["good"]


def test_a_damaged_copy_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.run(["models", "add", str(make_onnx(tmp_path / "net.onnx", 2))]) == 0
    make_onnx(weights.find("net"), 2, scale=20)
    lines(capsys)
    assert cli.run(["models", "verify", "net"]) == 1
    assert "its card says" in lines(capsys)[1][0]


@pytest.mark.parametrize(
    "content", ["{", '{"name": "zoo"}', "[" * 90_000, '{"file": "../x.onnx", "kind": "ddcolor", "inputs": [3]}']
)
def test_a_model_with_damaged_facts_can_be_removed(
    content: str, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name in ("net", "other"):
        assert cli.run(["models", "add", str(make_onnx(tmp_path / f"{name}.onnx", 2))]) == 0
    (models / "net" / "vidcolor-model.json").write_text(content)
    lines(capsys)
    for command in (["models", "show", "net"], ["models", "verify", "net"]):
        assert cli.run(command) == 1
        (told,) = lines(capsys)[1]
        assert "damaged; `vidcolor models remove net`, and add it again" in told
    assert cli.run(["models", "list"]) == 1
    out, err = lines(capsys)
    assert [line.split()[0] for line in out] == ["default", "free", "other"]
    assert len(err) == 1
    assert cli.run(["doctor"]) == 1
    assert "Remove it and add it again" in " ".join(capsys.readouterr().out.split())
    assert cli.run(["models", "remove", "net", "other"]) == 0
    assert not list(models.iterdir())


def test_a_model_whose_file_is_gone_is_told_once(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.run(["models", "add", str(make_onnx(tmp_path / "net.onnx", 2))]) == 0
    (models / "net" / "net.onnx").unlink()
    lines(capsys)
    assert cli.run(["models", "list"]) == 1
    (told,) = lines(capsys)[1]
    assert told.count("net.onnx") == 1


def test_facts_of_another_program_beside_a_file_are_left_alone(tmp_path: Path):
    path = make_onnx(tmp_path / "net.onnx", 2)
    (tmp_path / "vidcolor-model.json").write_text("{")
    assert weights.read_header(path).name == "net"


def test_a_model_added_anew_with_other_settings_is_another_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = make_onnx(tmp_path / "net.onnx", 2, inputs=1, side=None)
    seen = set()
    for told in ([], ["--size", "64"], ["--kind", "eccv16"], ["--kind", "lab", "--scale", "2"]):
        assert cli.run(["models", "add", str(file), *told]) == 0
        kind = told[1] if "--kind" in told else "lab"
        assert lines(capsys)[0][0].startswith(f"net: {kind}, ")
        seen.add(ModelSettings("net").identity())
        assert cli.run(["models", "remove", "net"]) == 0
        lines(capsys)
    assert len(seen) == 4
    assert ModelSettings(str(file)).identity() in seen  # what was added without a word is the file


def test_a_film_is_not_gone_on_with_by_a_model_added_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = make_onnx(tmp_path / "net.onnx", 2, side=None)
    assert cli.run(["models", "add", str(file), "--size", "64"]) == 0
    film = make_film(tmp_path / "film.mkv", pts=range(300))
    command = [str(film), "-o", str(tmp_path / "out.mkv"), "--model", "net", "--every", "1", "-q"]

    class StopError(BaseException):
        """Ends the run like a kill."""

    def stop(done: int, total: int | None) -> None:  # noqa: ARG001
        if done > 270:
            raise StopError

    with pytest.raises(StopError):
        vidcolor.colorize_film(film, tmp_path / "out.mkv", model="net", every=1, on_progress=stop)
    assert cli.run(["models", "remove", "net"]) == 0
    assert cli.run(["models", "add", str(file), "--size", "128"]) == 0
    lines(capsys)
    assert cli.run(command) == 1
    assert "other inputs or settings" in lines(capsys)[1][0]


def test_a_network_that_answers_for_fewer_pictures_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = make_onnx(tmp_path / "net.onnx", 2, side=None, ends_with="double")
    assert cli.run(["models", "add", str(file), "--size", "64"]) == 1
    (told,) = lines(capsys)[1]
    assert "for 1 pictures" in told


def test_what_a_killed_addition_left_is_cleared(models: Path, tmp_path: Path):
    left = models / ".adding-left" / "big"
    left.mkdir(parents=True)
    os.utime(left.parent, (0, 0))
    assert cli.run(["models", "add", str(make_onnx(tmp_path / "net.onnx", 2))]) == 0
    assert [place.name for place in models.iterdir()] == ["net"]


def test_weights_beside_the_file_are_added_with_it(tmp_path: Path):
    file = make_onnx(tmp_path / "net.onnx", 2, external="net.onnx.data")
    assert cli.run(["models", "add", str(file)]) == 0
    added = weights.find("net")
    assert sorted(part.name for part in added.parent.iterdir()) == ["net.onnx", "net.onnx.data", "vidcolor-model.json"]
    before = weights.sha256(added)
    content = bytearray((added.parent / "net.onnx.data").read_bytes())
    content[3] ^= 1
    (added.parent / "net.onnx.data").write_bytes(content)
    assert weights.sha256(added) != before


def test_a_model_of_our_own_is_added_too(tiny_model: Path):
    assert cli.run(["models", "add", str(tiny_model), "--name", "western"]) == 0
    gray = np.full((64, 64), 50, np.float32) + np.arange(64, dtype=np.float32)
    with Colorizer.load("western", device="cpu") as one, Colorizer.load(str(tiny_model), device="cpu") as other:
        assert np.array_equal(one.predict([gray])[0], other.predict([gray])[0])


def test_a_network_is_asked_as_its_user_tells(tmp_path: Path):
    gray = (50 + 40 * np.sin(np.arange(SIDE * SIDE).reshape(SIDE, SIDE) / 40)).astype(np.float32)
    make_onnx(tmp_path / "plain.onnx", 2, inputs=1, scale=1.0)
    make_onnx(tmp_path / "scaled.onnx", 2, inputs=1, scale=1.0)
    assert cli.run(["models", "add", str(tmp_path / "plain.onnx"), "--kind", "lab"]) == 0
    told = ["--kind", "lab", "--input", "l", "--range", "-1..1", "--output", "ab", "--scale", "50"]
    assert cli.run(["models", "add", str(tmp_path / "scaled.onnx"), *told]) == 0
    answers = {}
    for name in ("plain", "scaled"):
        with Colorizer.load(name, device="cpu", precision="fp32") as colorizer:
            (answers[name],) = colorizer.predict([gray])
    # The network is linear, with the same weights and biases b: f(x) = Wx + b.
    with Colorizer.load("plain", device="cpu", precision="fp32") as colorizer:
        (bias,) = colorizer.predict([np.zeros_like(gray)])
        (ones,) = colorizer.predict([np.ones_like(gray)])
    wanted = ((answers["plain"] - bias) / 50 - (ones - bias) + bias) * 50
    assert np.abs(answers["scaled"] - wanted).max() < 0.01 * np.ptp(wanted)
    assert ModelSettings("plain").identity() != ModelSettings("scaled").identity()


def test_rgb_in_another_range(tmp_path: Path):
    file = make_onnx(tmp_path / "net.onnx", 3, keeps_picture=True)
    assert cli.run(["models", "add", str(file), "--name", "a"]) == 0
    assert weights.read_header(weights.find("a")).generator == "deoldify"
    told = ["--kind", "lab", "--input", "rgb", "--range", "0..255", "--output", "rgb", "--name", "b"]
    assert cli.run(["models", "add", str(file), *told]) == 0
    gray = np.full((SIDE, SIDE), 40, np.float32) + np.arange(SIDE, dtype=np.float32) / 2
    with Colorizer.load("a", device="cpu") as one, Colorizer.load("b", device="cpu") as other:
        assert np.abs(one.predict([gray])[0] - other.predict([gray])[0]).max() < 1e-3


def test_key_frames_are_the_default_of_a_slow_model_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = str(make_onnx(tmp_path / "net.onnx", 2))
    assert trial.default_interval(ModelSettings("default")) == 1
    seconds = {"value": 1.0}
    monkeypatch.setattr(trial, "try_model", lambda *_, **__: trial.Trial(seconds["value"], 64, "cpu", 10.0))
    assert trial.default_interval(ModelSettings(model)) is None
    assert trial.default_interval(ModelSettings(f"default+{model}")) is None
    seconds["value"] = 0.001
    assert trial.default_interval(ModelSettings(model)) == 1
    assert trial.default_interval(ModelSettings(model), is_here=False) is None


def test_a_slow_model_says_how_long_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    model = str(make_onnx(tmp_path / "net.onnx", 2))
    monkeypatch.setattr("vidcolor.films.job.measure_seconds", lambda _: 60.0)
    monkeypatch.setattr(trial, "measure_seconds", lambda *_: 60.0)
    film = make_film(tmp_path / "film.mkv", pts=range(24))
    assert cli.run([str(film), "-o", str(tmp_path / "out.mkv"), "--model", model]) == 0
    assert "2:00 to 6:00 of work for the network" in capsys.readouterr().err
    assert cli.run([str(film), "-o", str(tmp_path / "two.mkv"), "--model", model, "--every", "2"]) == 0
    assert "about 12:00 of work for the network" in capsys.readouterr().err
    vidcolor.colorize_film(film, tmp_path / "three.mkv", model=model)
    assert packets(tmp_path / "out.mkv", "video") == packets(tmp_path / "three.mkv", "video")


def test_a_model_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = str(make_onnx(tmp_path / "net.onnx", 2))
    first = trial.try_model(model, device="cpu")
    assert first.seconds > 0
    monkeypatch.setattr(trial, "measure", None)
    assert trial.try_model(model, device="cpu") == first


def test_a_mixture_is_the_weighted_mean(tiny_model: Path, tmp_path: Path):
    one, other = str(make_onnx(tmp_path / "a.onnx", 2)), str(make_onnx(tmp_path / "b.onnx", 3, keeps_picture=True))
    gray = (50 + 40 * np.sin(np.arange(SIDE * 96).reshape(SIDE, 96) / 40)).astype(np.float32)
    answers = {}
    for model in (one, other, f"{one}+{other}", f"{one}:3+{other}:1"):
        with Colorizer.load(model, device="cpu", precision="fp32") as colorizer:
            (answers[model],) = colorizer.predict([gray])
    a, b, mean, weighted = answers.values()
    assert np.abs(mean - (a + b) / 2).max() < 1e-3
    assert np.abs(weighted - (0.75 * a + 0.25 * b)).max() < 1e-3
    with Colorizer.load(f"{tiny_model}+{one}", device="cpu") as colorizer:
        assert colorizer.header.name == "tiny+a"
        assert colorizer.predict([gray])[0].shape == (2, SIDE // 2, 48)


def test_each_model_of_a_mixture_is_asked_at_its_own_size(tmp_path: Path):
    small, large = (str(make_onnx(tmp_path / f"{side}.onnx", 2, side=side)) for side in (64, 128))
    gray = (50 + 40 * np.sin(np.arange(128 * 128).reshape(128, 128) / 90)).astype(np.float32)
    answers = []
    for model, shown in ((f"{small}+{large}", gray), (large, gray), (small, shrink(gray, (64, 64)))):
        with Colorizer.load(model, device="cpu", precision="fp32") as colorizer:
            assert colorizer.size == min(shown.shape)
            answers += colorizer.predict([shown])
    mixed, fine, coarse = answers
    assert coarse.shape == (2, 32, 32)
    assert np.abs(mixed - (fine + resize(coarse, 64, 64)) / 2).max() < 1e-3


@pytest.mark.parametrize(
    "model",
    ["a+", "+a", "a:0+b", "a:-1+b", "a:nan+b", "a:inf+b:1", "a:1e-320+b:1e308", "a:0.5", "+".join("abcdefghijk")],
)
def test_mixtures_that_are_none(model: str):
    with pytest.raises(UsageError):
        mixing.parse(model)


def test_mixtures_by_name():
    assert mixing.parse("a:0.6+b:0.4") == (mixing.Part("a", 0.6), mixing.Part("b", 0.4))
    assert mixing.parse(r"C:\a.onnx+b") == (mixing.Part(r"C:\a.onnx", 0.5), mixing.Part("b", 0.5))
    assert mixing.join(mixing.parse("a:3+b")) == "a:0.75+b:0.25"
    thirds = mixing.parse("a:2+b")
    assert mixing.parse(mixing.join(thirds)) == thirds
    assert mixing.label("a:2+b") == "a:0.667+b:0.333"
    assert mixing.parse("a:1e308+b:1e308") == (mixing.Part("a", 0.5), mixing.Part("b", 0.5))
    assert len(mixing.parse("+".join("d" * 64 for _ in range(8)))) == 8  # no file has such a name


def test_a_mixture_of_files_with_plus_in_their_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "more+dir"
    folder.mkdir()
    one, other = make_onnx(folder / "a+b.onnx", 2), make_onnx(folder / "c.onnx", 2)
    assert mixing.parse(str(one)) == (mixing.Part(str(one), 1.0),)
    assert mixing.parse(f"{one}:3+{other}") == (mixing.Part(str(one), 0.75), mixing.Part(str(other), 0.25))
    settings = ModelSettings(f"{one}:2+{other}:1")
    assert settings.for_other_machines().identity() == settings.identity()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default+free").mkdir()  # as an output might be called
    assert len(mixing.parse("default+free")) == 2


def test_names_of_models():
    with pytest.raises(ModelError, match="did you mean default"):
        ModelSettings("defualt+free").read_header()
    assert ModelSettings("default+free").for_other_machines().model == "default+free"
    assert ModelSettings("default+free").identity() != ModelSettings("default:0.6+free:0.4").identity()
