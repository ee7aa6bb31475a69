"""vidcolor for programs: what the command does, the functions do; frames go in and come out, steady and in order."""

import inspect
import re
import shutil
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import make_film
from PIL import Image

import vidcolor
from vidcolor import cli
from vidcolor.batch.options import BatchOptions
from vidcolor.batch.photos import PhotoOptions
from vidcolor.cli.colorize import command
from vidcolor.color import LUMA_WEIGHTS
from vidcolor.films.job import FilmOptions
from vidcolor.films.pipeline import colored_frames
from vidcolor.inference.settings import ModelSettings
from vidcolor.media.source import FilmSource
from vidcolor.steady import Steadiness


@pytest.fixture(scope="module")
def colorizer(tiny_model: Path) -> Iterator[vidcolor.Colorizer]:
    with vidcolor.Colorizer(tiny_model, device="cpu", batch_size=2) as made:
        yield made


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "film.mkv", pts=range(12))


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(gray_frames(1)[0]).save(path)
    return path


def gray_frames(count: int, *, dtype: type = np.uint8) -> list[np.ndarray]:
    rows, columns = np.mgrid[:48, :64]
    waves = [np.sin(rows / 9) * np.cos((columns + 2 * number) / 7) / 2 + 0.5 for number in range(count)]
    return [np.round(wave * np.iinfo(dtype).max).astype(dtype) for wave in waves]


def test_importing_vidcolor_loads_nothing_heavy_and_leaves_no_trace():
    script = """
import sys
import vidcolor
assert {"colorize_film", "Colorizer"} <= set(dir(vidcolor)) and vidcolor.VidcolorError
print(*sorted({"torch", "av", "numpy", "cv2", "openvino", "PIL", "click", "vidcolor.api"} & set(sys.modules)))
try:
    vidcolor.colorise
except AttributeError as error:
    print(error)
from vidcolor import colorize_film
print(colorize_film.__module__)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["", "module 'vidcolor' has no attribute 'colorise'", "vidcolor.api"]


@pytest.mark.parametrize("name", vidcolor.__all__)
def test_every_name_that_is_offered_is_there_and_says_what_it_is(name: str):
    found = getattr(vidcolor, name)
    assert name == "__version__" or inspect.getdoc(found)


def test_defaults_are_the_command_s(film: Path):
    said = command.make_context("colorize", [str(film), "-o", "out.mkv"]).params
    kinds: dict[Callable[..., object], tuple[type, ...]] = {
        vidcolor.colorize_film: (ModelSettings, FilmOptions),
        vidcolor.colorize_photo: (ModelSettings, PhotoOptions),
        vidcolor.colorize_files: (ModelSettings, FilmOptions, PhotoOptions, BatchOptions),
    }
    absent = {vidcolor.colorize_photo: {"batch_size"}, vidcolor.colorize_files: {"start", "end", "keep_segments"}}
    for function, options in kinds.items():
        given = inspect.signature(function).parameters
        for entry in (entry for kind in options for entry in fields(kind)):
            if entry.name in {"model", "films", "photos"} and entry.default is MISSING:
                continue  # of further options
            if entry.name not in absent.get(function, ()):
                taken = given["reference" if entry.name == "references" else entry.name]
                if entry.name == "every":  # by the model, see trial.default_interval
                    assert taken.default is said["every"] is None
                else:
                    assert entry.default == taken.default == said[entry.name], entry.name


def test_a_film_is_what_the_command_makes_of_it(film: Path, tiny_model: Path, tmp_path: Path):
    seen: list[tuple[int, int | None]] = []
    done = vidcolor.colorize_film(
        str(film), tmp_path / "new" / "api.mkv", model=str(tiny_model), codec="ffv1",
        on_progress=lambda frames, total: seen.append((frames, total)),
    )  # fmt: skip
    assert (done.frames, done.done_before, done.model) == (12, 0, "tiny")
    assert done.output == tmp_path / "new" / "api.mkv"
    assert not done.damage
    assert seen == [(count, 12) for count in range(1, 13)]
    assert (
        cli.run([str(film), "-o", str(tmp_path / "cli.mkv"), "--model", str(tiny_model), "--codec", "ffv1", "-q"]) == 0
    )
    found, wanted = (contents(path) for path in (done.output, tmp_path / "cli.mkv"))
    assert found == wanted


def contents(path: Path) -> tuple[dict[str, str], list[tuple[int | None, bytes]]]:
    """Tags, and every packet with its time: Matroska's own identifiers are drawn by lot."""
    with av.open(path) as opened:
        return dict(opened.metadata), [(packet.pts, bytes(packet)) for packet in opened.demux() if packet.size]


def test_a_film_that_the_command_began_is_gone_on_with(tiny_model: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("vidcolor.films.pipeline.SEGMENT_FRAMES", 4)
    film, out = make_film(tmp_path / "film.mkv", pts=range(12)), tmp_path / "out.mkv"

    def stop(frames: int, _: int | None) -> None:
        if frames == 6:
            raise KeyboardInterrupt

    settings = {"model": str(tiny_model), "codec": "ffv1"}
    with pytest.raises(KeyboardInterrupt):
        vidcolor.colorize_film(film, out, on_progress=stop, **settings)
    assert not out.exists()
    with pytest.raises(vidcolor.SinkError, match=r"--saturation was 1\.0, is 0\.5"):
        vidcolor.colorize_film(film, out, saturation=0.5, **settings)
    assert vidcolor.colorize_film(film, out, **settings).done_before == 4
    with pytest.raises(vidcolor.SinkError, match="exists already"):
        vidcolor.colorize_film(film, out, **settings)
    assert vidcolor.colorize_film(film, out, overwrite=True, **settings).done_before == 0


def test_nothing_is_loaded_for_a_film_that_is_refused(film: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(vidcolor.Colorizer, "__init__", lambda *_, **__: pytest.fail("the network was loaded"))
    (tmp_path / "there.mkv").touch()
    for refused in (tmp_path / "there.mkv", tmp_path / "film.txt"):
        with pytest.raises(vidcolor.VidcolorError):
            vidcolor.colorize_film(film, refused)
    with pytest.raises(vidcolor.SourceError):
        vidcolor.colorize_film(tmp_path / "missing.mp4", tmp_path / "out.mp4")
    with pytest.raises(vidcolor.UsageError, match="steady"):
        vidcolor.colorize_film(film, tmp_path / "out.mkv", steady="very")  # type: ignore[arg-type]


def test_one_colorizer_serves_films_photos_and_frames(
    film: Path, photo: Path, colorizer: vidcolor.Colorizer, tmp_path: Path
):
    done = vidcolor.colorize_film(film, tmp_path, model=colorizer, start=0.1, end=0.3)
    assert done.output == tmp_path / "film.mkv"
    assert done.frames == 5
    assert vidcolor.colorize_photo(photo, model=colorizer).shape == (48, 64, 3)
    assert len(list(colorizer.rgb_frames(gray_frames(3)))) == 3
    with pytest.raises(vidcolor.UsageError, match="brings device"):
        vidcolor.colorize_photo(photo, model=colorizer, size=64)


def test_numbered_pictures_are_a_film(tiny_model: Path, tmp_path: Path):
    for number, frame in enumerate(gray_frames(5)):
        Image.fromarray(frame).save(tmp_path / f"{number:03}.png")
    assert vidcolor.colorize_film(tmp_path, tmp_path / "out.mkv", model=tiny_model, fps="24000/1001").frames == 5
    with pytest.raises(vidcolor.UsageError, match="no rate"):
        vidcolor.colorize_film(tmp_path, tmp_path / "out.mkv", fps="often")


def test_a_photo_is_what_the_command_makes_of_it(photo: Path, tiny_model: Path, tmp_path: Path):
    done = vidcolor.colorize_photo(photo, tmp_path / "api.png", model=tiny_model)
    assert (done.output, done.outcome) == (tmp_path / "api.png", "colored")
    assert cli.run([str(photo), "-o", str(tmp_path / "cli.png"), "--model", str(tiny_model), "-q"]) == 0
    assert done.output.read_bytes() == (tmp_path / "cli.png").read_bytes()
    with pytest.raises(vidcolor.SinkError, match="exists already"):
        vidcolor.colorize_photo(photo, tmp_path / "api.png", model=tiny_model)
    with pytest.raises(vidcolor.UsageError, match="is the input itself"):
        vidcolor.colorize_photo(photo, photo, model=tiny_model, overwrite=True)
    with pytest.raises(vidcolor.UsageError, match="keeps its format"):
        vidcolor.colorize_photo(photo, tmp_path / "api.jpg", model=tiny_model)


def test_a_photo_that_has_colors_is_kept_in_a_file_unless_asked_for(colorizer: vidcolor.Colorizer, tmp_path: Path):
    patches = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(patches.repeat(8, axis=0).repeat(8, axis=1)).save(tmp_path / "color.png")
    kept = vidcolor.colorize_photo(tmp_path / "color.png", tmp_path / "kept.png", model=colorizer)
    assert kept.outcome == "kept"
    assert kept.output.read_bytes() == (tmp_path / "color.png").read_bytes()
    anew = vidcolor.colorize_photo(tmp_path / "color.png", tmp_path / "anew.png", model=colorizer, recolor=True)
    assert anew.outcome == "colored"
    shown = vidcolor.colorize_photo(tmp_path / "color.png", model=colorizer)
    assert np.array_equal(shown, np.asarray(Image.open(anew.output)))


def test_a_photo_as_an_array_is_the_photo_in_the_file(photo: Path, colorizer: vidcolor.Colorizer, tmp_path: Path):
    vidcolor.colorize_photo(photo, tmp_path / "out.png", model=colorizer)
    from_file = vidcolor.colorize_photo(photo, model=colorizer)
    from_array = vidcolor.colorize_photo(np.asarray(Image.open(photo)), model=colorizer)
    assert np.array_equal(from_file, np.asarray(Image.open(tmp_path / "out.png")))
    assert np.array_equal(from_file, from_array)
    assert np.ptp(from_file.astype(int), axis=2).max() > 10


def test_a_photo_on_its_side_comes_upright(colorizer: vidcolor.Colorizer, tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(gray_frames(1)[0]).save(tmp_path / "side.png", exif=exif)
    upright = vidcolor.colorize_photo(tmp_path / "side.png", model=colorizer)
    turned = colorizer.colorize_array(np.rot90(gray_frames(1)[0], -1))
    assert upright.shape == (64, 48, 3)
    assert np.abs(upright.astype(int) - turned).max() <= 1


@pytest.mark.parametrize(("channels", "given"), [(0, 3), (1, 3), (2, 4), (3, 3), (4, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_of_every_make_keep_type_and_alpha(
    channels: int, given: int, dtype: type, colorizer: vidcolor.Colorizer
):
    picture = gray_frames(1, dtype=dtype)[0]
    if channels:
        picture = np.dstack([picture] * channels)
        if channels in (2, 4):
            picture[..., -1] = np.arange(64)
    painted = vidcolor.colorize_photo(picture, model=colorizer)
    assert painted.shape == (48, 64, given)
    assert painted.dtype == dtype
    if given == 4:
        assert np.array_equal(painted[..., 3], picture[..., -1])


@pytest.mark.parametrize("picture", [np.zeros((4, 4)), np.zeros((0, 4), np.uint8), np.zeros((3, 9, 9), np.uint8)])
def test_arrays_that_are_no_pictures_are_refused(picture: np.ndarray, colorizer: vidcolor.Colorizer):
    with pytest.raises(vidcolor.ShapeError, match="needed uint8 or uint16"):
        colorizer.colorize_array(picture)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("steadiness", [{}, {"steady": "off"}, {"steady": "smooth"}, {"every": 4}, {"every": "auto"}])
def test_each_frame_comes_out_once_in_order_with_its_own_luma(steadiness, dtype, colorizer: vidcolor.Colorizer):
    frames = gray_frames(11, dtype=dtype)
    found = list(colorizer.rgb_frames(iter(frames), **steadiness))
    assert len(found) == 11
    for gray, rgb in zip(frames, found, strict=True):
        assert rgb.shape == (48, 64, 3)
        assert rgb.dtype == dtype
        assert (
            np.abs(rgb @ np.array(LUMA_WEIGHTS["bt709"]) - gray).max() <= 1.0
        )  # half a code of each channel, and paint's
        assert np.ptp(rgb.astype(int), axis=2).max() > 10


def test_planes_are_those_of_the_film(film: Path, colorizer: vidcolor.Colorizer):
    with FilmSource(film) as source:
        wanted = list(colored_frames(source.frames(), source.info, colorizer.loaded, Steadiness()))
    found = list(colorizer.chroma_planes((one.frame.luma for one in wanted), source.info.picture))
    for one, (cb, cr) in zip(wanted, found, strict=True):
        assert np.array_equal(one.cb, cb)
        assert np.array_equal(one.cr, cr)


@pytest.mark.parametrize(("steady", "ahead"), [("flow", 0), ("shot", 36)])
def test_frames_are_taken_as_results_are_asked_for(colorizer: vidcolor.Colorizer, steady: str, ahead: int):
    taken = []

    def endless() -> Iterator[np.ndarray]:
        (frame,) = gray_frames(1)
        while True:
            taken.append(1)
            yield frame

    results = colorizer.rgb_frames(endless(), steady=steady)
    assert not taken
    for _ in range(20):
        next(results)
    assert 20 <= len(taken) <= 20 + 2 + 2 + ahead  # a batch, and two to tell cuts


def test_no_frames_give_no_frames(colorizer: vidcolor.Colorizer):
    assert list(colorizer.rgb_frames([])) == []
    assert list(colorizer.rgb_frames([], every="auto")) == []


def test_frames_that_do_not_belong_together_are_named(colorizer: vidcolor.Colorizer):
    frames = gray_frames(3)
    with pytest.raises(vidcolor.ShapeError, match=r"frame 2: found uint8 \(48, 63\), needed uint8 \(48, 64\)"):
        list(colorizer.rgb_frames([*frames[:2], frames[2][:, 1:]]))
    with pytest.raises(vidcolor.ShapeError, match=r"frame 0: found uint8 .*needed gray"):
        list(colorizer.rgb_frames([np.zeros((48, 64, 3), np.uint8)]))
    with pytest.raises(vidcolor.UsageError, match="every 0"):
        colorizer.rgb_frames(frames, every=0)


def test_settings_that_make_no_sense_are_refused(tiny_model: Path):
    with pytest.raises(vidcolor.UsageError, match="saturation 5"):
        vidcolor.Colorizer(tiny_model, saturation=5)
    with pytest.raises(vidcolor.ModelError):
        vidcolor.Colorizer("no-such-model")
    with pytest.raises(vidcolor.UsageError, match="device"):
        vidcolor.Colorizer(tiny_model, device="abacus")


def test_a_closed_colorizer_says_so(tiny_model: Path):
    with vidcolor.Colorizer(tiny_model) as colorizer:
        assert colorizer.devices
    with pytest.raises(vidcolor.UsageError, match="closed"):
        colorizer.colorize_array(gray_frames(1)[0])
    with pytest.raises(vidcolor.UsageError, match="is returned"):
        vidcolor.colorize_photo(gray_frames(1)[0], "out.png")  # type: ignore[call-overload]


def test_a_folder_is_what_the_command_makes_of_it(film: Path, photo: Path, tiny_model: Path, tmp_path: Path):
    scans = tmp_path / "scans"
    scans.mkdir()
    shutil.copy(film, scans / "film.mkv")
    shutil.copy(photo, scans / "photo.png")
    (scans / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    assert cli.run([str(scans), "-o", str(tmp_path / "command"), "--model", str(tiny_model), "-q"]) == 1

    class Heard(vidcolor.BatchObserver):
        said: typing.ClassVar[list[object]] = []

        def batch_started(self, total: int | None) -> None:
            self.said.append(total)

        def file_finished(self, name: str, outcome: str, notes: tuple[str, ...], **_: bool) -> None:  # noqa: ARG002
            self.said.append((name, outcome))

        def batch_finished(self, result: vidcolor.BatchResult) -> None:
            self.said.append(result.is_complete)

    result = vidcolor.colorize_files(scans, tmp_path / "call", model=tiny_model, observer=Heard())
    assert Heard.said == [3, ("film.mkv", "colored"), ("photo.png", "colored"), ("torn.jpg", "failed"), False]
    assert (result.counts, result.done_before, result.is_complete) == ({"colored": 2, "failed": 1}, 0, False)
    assert [(file.name, file.outcome) for file in result.files if file.outcome == "failed"] == [("torn.jpg", "failed")]
    assert result.report == tmp_path / "call" / "report.html"
    for name in ("film.mkv", "photo.png"):
        assert (tmp_path / "call" / name).read_bytes() == (tmp_path / "command" / name).read_bytes()
    with vidcolor.Colorizer(tiny_model) as colorizer:
        again = vidcolor.colorize_files([scans], tmp_path / "call", model=colorizer)
    assert (again.counts, again.done_before) == ({"failed": 1}, 2)


def test_a_colorizer_does_not_travel_to_a_cluster(colorizer: vidcolor.Colorizer, tmp_path: Path):
    with pytest.raises(vidcolor.UsageError, match="name the model"):
        vidcolor.colorize_files(tmp_path, tmp_path / "out", model=colorizer, cluster="auto")


def test_times_may_be_text(film: Path, tiny_model: Path, tmp_path: Path):
    whole, part = (
        vidcolor.colorize_film(film, tmp_path / f"{name}.mkv", model=tiny_model, codec="ffv1", **span).frames
        for name, span in (("number", {"end": 0.2}), ("text", {"start": "0:00", "end": "0:00.2"}))
    )
    assert whole == part > 0
    with pytest.raises(vidcolor.UsageError, match="'soon' is no time"):
        vidcolor.colorize_film(film, tmp_path / "no.mkv", model=tiny_model, start="soon")


@pytest.mark.parametrize("call", [vidcolor.colorize_film, vidcolor.colorize_photo, vidcolor.colorize_files])
@pytest.mark.parametrize("suffix", [".mkv", ".jpg"])
def test_a_file_that_is_not_there_is_said_to_be_missing(call, suffix: str, tiny_model: Path, tmp_path: Path):
    output = tmp_path / ("out" if call is vidcolor.colorize_files else f"out{suffix}")
    with pytest.raises(vidcolor.SourceError, match=rf"nothing{suffix}: no such file"):
        call(tmp_path / f"nothing{suffix}", output, model=tiny_model)
    assert not list(tmp_path.iterdir())


def test_a_bar_is_drawn_where_it_is_wanted(film: Path, photo: Path, tiny_model: Path, tmp_path: Path, capfd):
    vidcolor.colorize_film(film, tmp_path / "quiet.mkv", model=tiny_model)
    assert "12/12" not in capfd.readouterr().err
    vidcolor.colorize_film(film, tmp_path / "film.mkv", model=tiny_model, show_progress=True)
    assert "12/12" in capfd.readouterr().err
    (tmp_path / "scans").mkdir()
    shutil.copy(photo, tmp_path / "scans")
    deep = tmp_path / ("archive-" * 12) / ("photographs-" * 8)  # a path longer than a terminal's line
    vidcolor.colorize_files(tmp_path / "scans", deep, model=tiny_model, show_progress=True)
    assert "1/1" in capfd.readouterr().err
    with pytest.raises(vidcolor.UsageError, match="one or the other"):
        vidcolor.colorize_files(
            tmp_path / "scans", tmp_path / "out", observer=vidcolor.BatchObserver(), show_progress=True
        )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"others": "keep"}, "others 'keep' is unknown; choose one of copy, skip"),
        ({"quality": 101}, "quality 101: needs 1 to 100"),
        ({"subsampling": "4:1:1"}, "subsampling '4:1:1' is unknown"),
        ({"largest_photo": float("nan")}, "largest_photo nan: needs 1 or more"),
        ({"codec": "mpeg2"}, "codec 'mpeg2' is unknown; choose one of h264"),
        ({"preset": "warp"}, "preset 'warp' is unknown"),
        ({"crf": 64}, "crf 64: needs 0 to 63"),
        ({"hwaccel": "abacus"}, "hwaccel 'abacus' is unknown"),
        ({"encoder": "toaster"}, "encoder 'toaster' is unknown; choose one of software, hardware"),
        ({"convert_audio": "mp3"}, "convert_audio 'mp3' is unknown"),
    ],
)
def test_what_no_run_could_work_with_is_refused_at_once(options: dict, said: str, photo: Path, tmp_path: Path):
    with pytest.raises(vidcolor.UsageError, match=re.escape(said)):
        vidcolor.colorize_files(photo.parent, tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("inputs", "output", "said"),
    [([], "out", "no inputs"), (None, "one.png", "named like one film or"), (None, "one.mp4", "named like one film")],
)
def test_many_files_need_inputs_and_room(inputs, output: str, said: str, photo: Path, tmp_path: Path):
    with pytest.raises((vidcolor.UsageError, vidcolor.SinkError), match=said):
        vidcolor.colorize_files(photo.parent if inputs is None else inputs, tmp_path / output)
    assert not list(tmp_path.iterdir())


def test_times_that_are_no_numbers_are_refused(film: Path, tiny_model: Path, tmp_path: Path):
    with pytest.raises(vidcolor.UsageError, match="start nan"):
        vidcolor.colorize_film(film, tmp_path / "out.mkv", model=tiny_model, start=float("nan"))


@pytest.mark.parametrize("every", ["x", "all", 1.5, 0, 121])
def test_an_impossible_distance_of_keys_is_refused_at_once(every: object, film: Path, tmp_path: Path, tiny_model: Path):
    with pytest.raises(vidcolor.UsageError, match="needs 1"):
        vidcolor.colorize_film(film, tmp_path / "out.mkv", model=tiny_model, every=every)
    assert list(tmp_path.iterdir()) == []
