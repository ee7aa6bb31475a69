"""The command line: right films, clear refusals, exit codes, nothing half-written."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import make_film
from PIL import Image

from vidcolor import cli
from vidcolor.archives.names import JOURNAL_NAME
from vidcolor.errors import DeviceError
from vidcolor.inference.colorizer import Colorizer
from vidcolor.media import probe
from vidcolor.media.source import FilmSource


def planes_and_times(path: Path) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Time, luma and Cb of every frame."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        found = []
        for frame in container.decode(stream):
            kind = np.uint16 if "10" in frame.format.name else np.uint8
            views = []
            for plane in list(frame.planes)[:2]:
                rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
                views.append(rows[:, : plane.width * kind().itemsize].copy().view(kind))
            found.append((frame.pts * frame.time_base, *views))
        return found


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return make_film(tmp_path / "film.mkv", sound=({"language": "deu"},), chapters=((0, 200, "one"),))


def run(*args: str | Path) -> int:
    return cli.run([str(arg) for arg in args])


def test_a_film_gets_color_and_keeps_luma_and_timing(film: Path, tiny_model: Path, tmp_path: Path):
    out = tmp_path / "out.mkv"
    assert run(film, "-o", out, "--model", tiny_model, "--codec", "ffv1", "--quiet") == 0
    before, after = planes_and_times(film), planes_and_times(out)
    assert len(before) == len(after) == 12
    for (time_in, luma_in, _), (time_out, luma_out, cb) in zip(before, after, strict=True):
        assert time_in == time_out
        assert np.array_equal(luma_in, luma_out)
        assert np.ptp(cb) > 2  # real colors, not a flat tint and not gray


def test_ten_bits_stay_ten_bits_and_every_bit_of_luma(tiny_model: Path, tmp_path: Path):
    film = make_film(tmp_path / "film.mkv", pix_fmt="yuv422p10le")
    assert run(film, "-o", tmp_path / "out.mkv", "--model", tiny_model, "--codec", "ffv1", "--quiet") == 0
    with FilmSource(film) as one, FilmSource(tmp_path / "out.mkv") as other:
        assert other.info.pixel_format == "yuv422p10le"
        for before, after in zip(one.frames(), other.frames(), strict=True):
            assert np.array_equal(before.luma, after.luma)


def test_frames_do_not_depend_on_the_batch(film: Path, tiny_model: Path, tmp_path: Path):
    found = []
    for size in ("1", "5"):
        out = tmp_path / f"{size}.mkv"
        assert run(film, "-o", out, "--model", tiny_model, "--codec", "ffv1", "--batch-size", size, "-q") == 0
        found.append([cb for _, _, cb in planes_and_times(out)])
    assert np.array_equal(np.stack(found[0]), np.stack(found[1]))


def test_two_replicas_give_the_same_film_as_one(film: Path, tiny_model: Path, tmp_path: Path):
    found = []
    for device in ("cpu", "cpu,cpu"):
        out = tmp_path / f"{device}.mkv"
        assert run(film, "-o", out, "--model", tiny_model, "--codec", "ffv1", "--device", device, "-q") == 0
        found.append([cb for _, _, cb in planes_and_times(out)])
    assert np.array_equal(np.stack(found[0]), np.stack(found[1]))


def test_the_output_says_who_colored_it(film: Path, tiny_model: Path, tmp_path: Path):
    out = tmp_path / "out.mp4"
    assert run(film, "-o", out, "--model", tiny_model, "-q") == 0
    with av.open(str(out)) as container:
        assert "vidcolor" in container.metadata["comment"]
        assert "tiny" in container.metadata["comment"]


def test_json_is_json_and_nothing_else(
    film: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(film, "-o", tmp_path / "out.mkv", "--model", tiny_model, "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [events[0]["event"], events[-1]["event"]] == ["start", "done"]
    assert events[-1]["frames"] == 12


def test_a_dry_run_tells_and_writes_nothing(
    film: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    before = sorted(tmp_path.iterdir())
    assert run(film, "-o", tmp_path / "out.mp4", "--model", tiny_model, "--dry-run") == 0
    told = capsys.readouterr().out
    assert "12 frames as h264 yuv420p in mp4" in told
    assert "audio, aac deu: copy" in told
    assert "frames a second" in told
    assert sorted(tmp_path.iterdir()) == before


def test_a_range_is_colored_alone(film: Path, tiny_model: Path, tmp_path: Path):
    out = tmp_path / "out.mkv"
    assert (
        run(film, "-o", out, "--model", tiny_model, "--codec", "ffv1", "--start", "0:00.16", "--end", "0.4", "-q") == 0
    )
    whole = planes_and_times(film)
    assert [np.array_equal(a[1], b[1]) for a, b in zip(planes_and_times(out), whole[4:10], strict=True)] == [True] * 6


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "empty"), (b"only words\n" * 20, "film.mp4"), (None, "no such file")]
)
def test_bad_input_is_one_line_and_exit_1(
    content: bytes | None, said: str, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    film = tmp_path / "film.mp4"
    if content is not None:
        film.write_bytes(content)
    assert run(film, "-o", tmp_path / "out.mp4", "--model", tiny_model) == 1
    told = capfd.readouterr()
    assert said in told.err.lower()
    assert len(told.err.strip().splitlines()) == 1
    assert not (tmp_path / "out.mp4").exists()


def test_an_existing_output_is_kept_unless_told(film: Path, tiny_model: Path, tmp_path: Path):
    out = tmp_path / "out.mkv"
    out.write_bytes(b"precious")
    assert run(film, "-o", out, "--model", tiny_model, "-q") == 1
    assert out.read_bytes() == b"precious"
    assert run(film, "-o", out, "--model", tiny_model, "-q", "--overwrite") == 0
    assert len(planes_and_times(out)) == 12


def test_the_input_is_never_the_output(film: Path, tiny_model: Path):
    before = film.read_bytes()
    assert run(film, "-o", film, "--model", tiny_model, "-q", "--overwrite") in (1, 2)
    assert film.read_bytes() == before


@pytest.mark.parametrize(
    "args",
    [
        ("--nonsense",),
        ("film.mkv",),
        ("film.mkv", "-o", "out.xyz"),
        ("film.mkv", "-o", "out.mkv", "--batch-size", "many"),
        ("film.mkv", "-o", "out.mkv", "--device", "tpu"),
        ("film.mkv", "-o", "out.mkv", "--start", "noon"),
        ("models", "frobnicate"),
    ],
)
def test_wrong_usage_is_exit_2(args: tuple[str, ...], film: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(film.parent)
    assert run(*args) == 2
    assert sorted(path.name for path in film.parent.iterdir()) == ["film.mkv"]


@pytest.mark.parametrize("command", [(), ("models",)])
def test_a_command_alone_shows_its_help_as_if_asked_for(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    assert run(*command) == 0
    alone = capsys.readouterr()
    assert run(*command, "--help") == 0
    assert alone == capsys.readouterr()
    assert alone.out.startswith("Usage: ")
    assert alone.err == ""


@pytest.mark.parametrize(
    ("args", "code", "advice"),
    [
        ("film.mkv -o out.mkv --codec h265", 2, "'h265' is unknown; say hevc."),
        ("film.mkv -o out.mkv --steady shto", 2, "did you mean shot?"),
        ("film.mkv -o out.mkv --preset fastt", 2, "did you mean fast?"),
        ("film.mkv -o out.mkv --pix-fmt yuv420", 2, "Did you mean yuv420p?"),
        ("film.mkv -o out.mkv --device gpu", 2, "for a GPU say cuda:0"),
        ("film.mkv -o out.mkv --overwite", 2, "Did you mean '--overwrite'?"),
        ("film.mkv out.mkv", 2, "say -o out.mkv."),
        ("film.mkv out.mkv --crf 20", 2, "say -o out.mkv."),
        ("film.mkv my.mkv -q", 2, "say -o my.mkv."),
        ("preview film.mkv sheet.png", 2, "say -o sheet.png."),
        ("film.mkv -o x.jpeg", 2, "`vidcolor preview` shows its shots"),
        ("film.mkv -o x.wmv", 2, "read, but not written"),
        ("film.mkv -o x.mp5", 2, "did you mean .mp4?"),
        ("photo.jpg -o out.mp4", 2, "such as -o out.jpg, or a folder"),
        ("https://example.org/film.mp4 -o out.mkv", 1, "https://example.org/film.mp4: is an address"),
        ("film.mkv -o s3://films/out.mkv", 2, "s3://films/out.mkv: is an address"),
        ("film.mkv -o out.mkv --model https://example.org/m.onnx", 1, "https://example.org/m.onnx: is an address"),
        ("preview film.mkv -o gs://films/sheet.png", 2, "gs://films/sheet.png: is an address"),
        ("export default -o d.pt", 2, ".onnx (onnx) or .xml (openvino)"),
        ("evaluate film.mkv --metric lpip", 2, "did you mean lpips?"),
        ("evaluate film.mkv --stock ortochromatic", 2, "did you mean orthochromatic?"),
        ("train film.mkv -o m.safetensors --recipe fine-tun", 2, "did you mean fine-tune?"),
        ("train film.mkv -o m.safetensors --set lerning_rate=1", 2, "did you mean learning_rate?"),
        ("models lst", 2, "Did you mean 'list'?"),
        ("models show defualt", 1, "did you mean default?"),
        ("previw film.mkv", 2, "Did you mean 'preview'?"),
    ],
)
def test_one_line_says_what_was_probably_meant(
    args: str, code: int, advice: str, film: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(film.parent)
    Image.fromarray(np.full((40, 50), 99, np.uint8)).save("photo.jpg")
    assert run(*args.split()) == code
    told = capfd.readouterr()
    assert advice in told.err
    assert len(told.err.splitlines()) == 1
    assert told.out == ""
    assert sorted(path.name for path in film.parent.iterdir()) == ["film.mkv", "photo.jpg"]


def test_one_bad_film_does_not_stop_the_others(film: Path, tiny_model: Path, tmp_path: Path):
    bad = tmp_path / "bad.mkv"
    bad.write_bytes(b"no film")
    out = tmp_path / "out"
    assert run(bad, film, "-o", out, "--model", tiny_model, "-q") == 1
    assert {path.name for path in out.iterdir()} == {"film.mkv", JOURNAL_NAME}


def test_a_failing_network_leaves_no_film_rather_than_a_gray_one(
    film: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    predict, calls = Colorizer.predict, []

    def fail_at_the_second(self: Colorizer, lightness: list[np.ndarray]) -> list[np.ndarray]:
        calls.append(len(lightness))
        if len(calls) == 2:
            raise DeviceError("the device is gone.")
        return predict(self, lightness)

    monkeypatch.setattr(Colorizer, "predict", fail_at_the_second)
    assert run(film, "-o", tmp_path / "out.mkv", "--model", tiny_model, "-q", "--batch-size", "4") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_leaves_nothing_half_written(tiny_model: Path, tmp_path: Path, number: int, code: int):
    film = make_film(tmp_path / "film.mkv", size=(640, 480), pts=tuple(range(600)), codec="mpeg4")
    command = [sys.executable, "-m", "vidcolor", film, "-o", tmp_path / "out.mkv", "--model", tiny_model, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if b"progress" in line:
                break
        assert (tmp_path / ".vidcolor-out.mkv" / "film").exists()
        running.send_signal(number)
        assert running.wait(timeout=60) == code
    assert [path.name for path in tmp_path.iterdir()] == ["film.mkv"]


def test_the_end_of_a_file_is_no_interruption(film: Path, monkeypatch: pytest.MonkeyPatch, capfd):
    def broken(_: Path) -> None:
        raise EOFError("ran out of bytes")

    monkeypatch.setattr(probe, "probe", broken)
    assert run("info", film) == 1
    assert "unexpected EOFError: ran out of bytes" in capfd.readouterr().err


def test_info_tells_what_a_film_holds(film: Path, capsys: pytest.CaptureFixture[str]):
    assert run("info", film) == 0
    told = capsys.readouterr().out
    assert "ffv1, 64x48, yuv420p" in told
    assert "audio, aac deu" in told
    assert run("info", film, "--json") == 0
    assert json.loads(capsys.readouterr().out)["picture"]["width"] == 64


def test_models_are_listed_shown_and_verified(tiny_model: Path, capsys: pytest.CaptureFixture[str]):
    assert run("models", "list") == 0
    assert "default" in capsys.readouterr().out
    assert run("models", "show", "default") == 0
    assert "PSNR" in capsys.readouterr().out
    assert run("models", "show", tiny_model, "--json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "tiny"
    assert run("models", "verify") == 0
    assert run("models", "verify", "no-such-model") == 1


def test_models_are_averaged(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    mean = tmp_path / "mean.safetensors"
    assert run("models", "average", tiny_model, tiny_model, "-o", mean) == 0
    assert capsys.readouterr().out.splitlines() == [f"{mean}: the average of 2 models"]
    assert run("models", "show", mean, "--json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "mean"
    assert run("models", "average", tiny_model, tiny_model, "-o", mean) == 1
    assert "exists already" in capsys.readouterr().err
    assert run("models", "average", tiny_model, tiny_model, "-o", mean, "--overwrite") == 0
    assert run("models", "average", tiny_model, "-o", tmp_path / "one.safetensors") == 2
    assert run("models", "average", tiny_model, "default", "-o", tmp_path / "odd.safetensors") == 1
    assert not (tmp_path / "odd.safetensors").exists()


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]):
    for args in ([], ["colorize"], ["info"], ["models"], ["models", "list"], ["train"], ["evaluate"]):
        assert run(*args, "--help") == 0
        assert "Example" in capsys.readouterr().out


def test_every_option_reaches_the_work() -> None:
    """An option that no dataclass has a field for would be ignored without a word."""
    from vidcolor.batch.options import BatchOptions
    from vidcolor.batch.photos import PhotoOptions
    from vidcolor.cli.colorize import command
    from vidcolor.films.job import FilmOptions
    from vidcolor.inference.settings import ModelSettings

    kinds = (FilmOptions, PhotoOptions, BatchOptions, ModelSettings)
    known = {entry.name for kind in kinds for entry in dataclasses.fields(kind)}
    read_by_the_command = {"inputs", "output", "watch", "fps", "dry_run", "as_json", "quiet", "log"}
    assert {option.name for option in command.params} <= known | read_by_the_command


def test_what_nobody_sees_or_hears_is_told_to_the_log_and_programs_alone(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    film = make_film(tmp_path / "film.mov", codec="libx264", time_base=Fraction(1, 30000), pts=(0, 1001, 2002))
    log = tmp_path / "job.log"
    remark = "film.mov: matroska stores times in whole milliseconds"
    assert run(film, "-o", tmp_path / "a.mkv", "--model", tiny_model, "--log", log) == 0
    assert "whole milliseconds" not in (told := capsys.readouterr()).err + told.out
    assert f"INFO    {remark}" in log.read_text(encoding="utf-8")
    assert run(film, "-o", tmp_path / "b.mkv", "--model", tiny_model, "--json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["message"][: len(remark)] for event in events if event["event"] == "warning"] == [remark]
    assert run(film, "-o", tmp_path / "c.mkv", "--model", tiny_model, "--dry-run") == 0
    assert "  remark     matroska stores times" in capsys.readouterr().out


def test_options_without_effect_are_told(
    film: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((40, 50), 99, np.uint8)).save(photo)
    common = ("--model", tiny_model, "--quiet")
    assert run(photo, "-o", tmp_path / "a.png", *common, "--crf", "20", "--reference", photo) == 0
    assert "warning: --reference, --crf: no effect on photos." in capsys.readouterr().err
    assert run(film, "-o", tmp_path / "a.mkv", *common, "--steady", "off", "--quality", "90") == 0
    assert "warning: --quality: no effect on films." in capsys.readouterr().err
    assert run(tmp_path, "-o", tmp_path / "out", *common, "--crf", "20", "--quality", "90") == 0
    assert "no effect" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "advised"),
    [
        ("reel.ts", "-o reel-color.mkv."), ("reel", "-o reel-color.mkv."), ("my reel.MP4", "-o 'my reel-color.MP4'."),
        ("box.tar.bz2", "-o box-color.tar.bz2."), ("scan.png", "-o scan-color.png."),
    ],
)  # fmt: skip
def test_a_missing_output_is_advised_as_what_can_be_written(tmp_path, capsys, name, advised):
    (tmp_path / name).write_bytes(b"anything")
    assert cli.run([str(tmp_path / name)]) == 2
    assert capsys.readouterr().err.rstrip().endswith(advised)
