"""The wheel is the whole product: built from the checkout, installed elsewhere, it colors a clip by itself."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from zipfile import ZipFile

import av
import numpy as np
import pytest
from skimage import data

ROOT = Path(__file__).parent.parent
FRAMES = 12


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the environment's own hatchling, so that no network is needed."""
    pytest.importorskip("build", reason="a wheel is built by `build`; pip install -e '.[dev]' brings it")
    pytest.importorskip("hatchling", reason="a wheel is built by hatchling; pip install -e '.[dev]' brings it")
    folder = tmp_path_factory.mktemp("wheel")
    run("build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT), cwd=folder)
    (built,) = folder.glob("vidcolor-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds nothing but the unpacked wheel."""
    folder = tmp_path_factory.mktemp("installed")
    run("pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder), str(wheel), cwd=folder)
    return folder


def test_the_default_model_is_in_the_wheel(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        inside = archive.read("vidcolor/models/default.safetensors")
    assert inside == (ROOT / "models" / "default.safetensors").read_bytes()


def test_the_wheel_holds_the_package_and_its_license_only(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"vidcolor"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {"vidcolor/py.typed", "vidcolor/page/page.css", "vidcolor/page/page.js"} <= set(names)


def test_the_installed_wheel_colors_a_clip_far_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    write_gray_clip(tmp_path / "clip.mp4")
    run("vidcolor", "clip.mp4", "-o", "out.mp4", cwd=tmp_path, path=installed)
    with av.open(tmp_path / "out.mp4") as film:
        assert len(film.streams.audio) == 1
        frames = list(film.decode(video=0))
    assert len(frames) == FRAMES
    assert any(np.ptp(np.frombuffer(bytes(frame.planes[plane]), np.uint8)) > 0 for frame in frames for plane in (1, 2))


def test_the_installed_wheel_is_what_ran(installed: Path, tmp_path: Path) -> None:
    where = python("-c", "import vidcolor; print(vidcolor.__file__)", cwd=tmp_path, path=installed)
    assert Path(where.strip()).is_relative_to(installed)


def run(module: str, *arguments: str, cwd: Path, path: Path | None = None) -> str:
    """Run a module as a command and give what it printed."""
    return python("-m", module, *arguments, cwd=cwd, path=path)


def python(*arguments: str, cwd: Path, path: Path | None = None) -> str:
    """Run Python in another folder, with `path` before everything that is installed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def write_gray_clip(path: Path) -> None:
    """Write half a second of a pan down a photograph (scikit-image's camera), with a tone."""
    camera = data.camera()[::4, ::4]  # a photo: the model leaves plain drawn shapes gray
    with av.open(path, "w") as film:
        video = film.add_stream("libx264", rate=24, options={"crf": "12"})
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        audio = film.add_stream("aac", rate=44100)
        for index in range(FRAMES):
            luma = camera[index : index + 96]
            chroma = np.full((48, 128), 128, np.uint8)
            frame = av.VideoFrame.from_ndarray(np.concatenate([luma, chroma]), format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 24)
            film.mux(video.encode(frame))
        film.mux(video.encode(None))
        tone = np.sin(np.arange(44100 * FRAMES // 24) * 2 * np.pi * 440 / 44100).astype(np.float32)[None]
        for start in range(0, tone.shape[1], 1024):
            sound = av.AudioFrame.from_ndarray(tone[:, start : start + 1024].copy(), format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = 44100, start, Fraction(1, 44100)
            film.mux(audio.encode(sound))
        film.mux(audio.encode(None))


def test_a_release_without_notes_is_refused_in_words(tmp_path: Path) -> None:
    for name in (".ci/release", "vidcolor/__init__.py", "CITATION.cff"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n", encoding="utf-8")
    made = subprocess.run(["bash", ".ci/release"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 1
    assert "CHANGELOG.md must begin with" in made.stderr
