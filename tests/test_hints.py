"""What a person says of a place is what it becomes, what looks alike follows, and bad hints are told."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
import skimage.data
from PIL import Image

import vidcolor
from vidcolor import cli
from vidcolor.color import lab_to_rgb, picture_to_lab
from vidcolor.errors import UsageError
from vidcolor.hints import draw, parse_hints, read_hints
from vidcolor.inference.colorizer import Colorizer
from vidcolor.inference.listening import Known, known_size

SUIT = [230, 330]  # in skimage.data.astronaut, 512x512
WALL = [300, 30]


@pytest.fixture(scope="module")
def colorizer():
    with vidcolor.Colorizer("default", device="cpu", precision="fp32") as loaded:
        yield loaded


def gray_of(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(rgb).convert("L"))


def ab_at(rgb: np.ndarray, point: list[int], radius: int = 6) -> np.ndarray:
    x, y = point
    _, a, b = picture_to_lab(np.ascontiguousarray(rgb[y - radius : y + radius, x - radius : x + radius, :3]))
    return np.array([a.mean(), b.mean()])


@pytest.mark.parametrize(
    ("color", "ab"),
    [
        ("navy", (47.5, -64.7)), ("gray", (0, 0)), ("Grey", (0, 0)), ("#FF0000", (80.1, 67.2)), ("#f00", (80.1, 67.2)),
        ("rgb(255, 0, 0)", (80.1, 67.2)), ([12.5, -30], (12.5, -30)),
    ],
)  # fmt: skip
def test_colors_are_css_or_ab(color: object, ab: tuple[float, float]) -> None:
    (hint,) = parse_hints([{"point": [1, 2], "color": color}])
    assert hint.ab == pytest.approx(ab, abs=0.2)


def at_half(rows: int, columns: int) -> np.ndarray:
    return np.full((rows, columns), 50, np.float32)


def test_shapes_are_drawn_where_they_are() -> None:
    hints = parse_hints(
        {
            "size": [1, 1],
            "hints": [
                {"region": [[0, 0], [1, 0], [1, 0.5], [0, 0.5]], "color": [10, 20]},
                {"stroke": [[0.1, 0.8], [0.9, 0.8]], "color": [0, 50]},
                {"point": [0.999, 0.999], "color": [-9, 0]},
            ],
        }
    )
    drawn = draw(hints, (1280, 720), at_half(20, 40))
    assert (drawn.known_hw[:10] == 1).all()
    assert np.allclose(drawn.ab_2hw[:, :10], np.array([10, 20])[:, None, None])
    assert (drawn.known_hw[16, 4:36] == 1).all()
    assert drawn.ab_2hw[1, 16, 20] == 50
    assert drawn.ab_2hw[0, 19, 39] == -9
    assert drawn.known_hw[10:].sum() == pytest.approx(34, abs=1)
    assert not drawn.ab_2hw[:, drawn.known_hw == 0].any()
    assert not drawn.contradictions


def test_a_width_widens_points_and_strokes() -> None:
    thin, wide = (
        draw(
            parse_hints([{"point": [50, 50], "color": "red", "width": width}]), (100, 100), at_half(25, 25)
        ).known_hw.sum()
        for width in (0, 40)
    )
    assert thin == 1
    assert wide == pytest.approx(np.pi * 5**2, rel=0.3)


@pytest.mark.parametrize(("color", "is_blue"), [("navy", True), ("#000080", True), ([47.5, -64.7], False)])
def test_a_dark_blue_on_something_light_is_a_light_blue(color: object, is_blue: bool) -> None:
    """At the a*b* of navy it would be violet, as it is where a*b* themselves are said."""
    drawn = draw(
        parse_hints([{"region": [[0, 0], [8, 0], [8, 8], [0, 8]], "color": color}]), (8, 8), at_half(8, 8) + 30
    )
    red, green, blue = (float(each[4, 4]) for each in lab_to_rgb(at_half(8, 8) + 30, *drawn.ab_2hw))
    assert (green > red) is is_blue
    assert blue > red


def test_points_that_look_like_shares_need_a_size() -> None:
    with pytest.raises(UsageError, match=r'"size": \[1, 1\]'):
        parse_hints([{"point": [0.5, 0.4], "color": "red"}])
    assert parse_hints([{"point": [1, 0], "color": "red"}])
    assert parse_hints([{"point": [0.5, 0.4], "color": "red"}, {"point": [5, 0.5], "color": "red"}])


def test_the_later_of_two_hints_of_one_place_holds_and_that_is_said() -> None:
    hints = parse_hints([{"point": [5, 5], "color": "red"}, {"point": [5, 5], "color": "blue"}], "h.json")
    drawn = draw(hints, (10, 10), np.full((10, 10), 32.3, np.float32))
    assert drawn.ab_2hw[:, 5, 5] == pytest.approx(hints[1].ab, abs=1)  # as far as sRGB has it at that lightness
    assert drawn.contradictions == (
        "h.json, hint 2 lies over another color, of h.json, hint 1; the later one holds",
    )  # fmt: skip
    same = parse_hints([{"point": [5, 5], "color": "red"}] * 2)
    assert not draw(same, (10, 10), at_half(10, 10)).contradictions


BAD = {
    "no list": ({"hint": []}, "needs a list of hints"),
    "none": ([], "has no hints"),
    "no object": ([5], "hint 1: is no object"),
    "typo": ([{"point": [1, 1], "colour": "red"}], "hint 1: 'colour' is unknown; did you mean color"),
    "no shape": ([{"color": "red"}], "hint 1: needs one of point, stroke, region"),
    "two shapes": ([{"color": "red", "point": [1, 1], "stroke": [[1, 1], [2, 2]]}], "has point and stroke"),
    "no color": ([{"point": [1, 1]}], "hint 1: needs a color"),
    "color": ([{"point": [1, 1], "color": "navvy"}], "did you mean navy"),
    "color of nothing": ([{"point": [1, 1], "color": "#12"}], "'#12' is unknown"),
    "ab": ([{"point": [1, 1], "color": [1, 200]}], "between -128 and 128"),
    "three numbers": ([{"point": [1, 1], "color": [1, 2, 3]}], r"is no \[a\*, b\*\]"),
    "point": ([{"point": [1], "color": "red"}], r"its point is no \[x, y\]"),
    "infinite": ([{"point": [1, float("inf")], "color": "red"}], "'inf' is no number"),
    "stroke": ([{"stroke": [[1, 1]], "color": "red"}], "has 1 point; it needs 2 or more"),
    "frame": ([{"point": [1, 1], "color": "red", "frame": -1}], "its frame '-1' is no whole number"),
    "frame and time": ([{"point": [1, 1], "color": "red", "frame": 1, "time": 1}], "one is enough"),
    "time": ([{"point": [1, 1], "color": "red", "time": "1:2:3:4"}], "is no time"),
    "width": ([{"region": [[1, 1], [2, 1], [2, 2]], "color": "red", "width": 3}], "its width 3 is none"),
    "size": ({"size": [0, 5], "hints": [{"point": [1, 1], "color": "red"}]}, "its size 0x5 is none"),
    "file": ([{"point": [1, 1], "color": "red", "file": 5}], "its file '5' is no name"),
    "frames": ([{"point": [1, 1], "color": "red", "frames": 5}], r"its frames are no \[first, last\]"),
    "frames back": ([{"point": [1, 1], "color": "red", "frames": [9, 5]}], r"\[9, 5\] end before they begin"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_hints_are_told_with_their_place(name: str) -> None:
    data, said = BAD[name]
    with pytest.raises(UsageError, match=said):
        parse_hints(data, "h.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"hints": [\n{"point" 5}]}', "line 2, column 10: is not JSON"), (b"\xff\xfe\x00", "is no text"),
        (b"[" * 100_000, "is not JSON that can be read"), (b"", "line 1, column 1: is not JSON"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_json_is_told_with_its_place(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "h.json"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        read_hints(file)


def test_a_hint_outside_of_the_picture_is_refused() -> None:
    with pytest.raises(UsageError, match="1400, 20 lies outside of the picture, which is 1280x720"):
        draw(parse_hints([{"point": [1400, 20], "color": "red"}]), (1280, 720), at_half(10, 10))


def test_a_hint_is_for_the_file_that_it_names() -> None:
    (hint,) = parse_hints([{"point": [1, 1], "color": "red", "file": "a/scan.png"}])
    assert hint.is_for("box/a/scan.png")
    assert hint.is_for("box\\a\\scan.png")
    assert not hint.is_for("box/b/scan.png")
    assert not hint.is_for("scan.png")


def test_a_point_colors_the_thing_that_it_is_on(colorizer: vidcolor.Colorizer) -> None:
    gray = gray_of(skimage.data.astronaut())
    plain = colorizer.colorize_array(gray)
    hinted = colorizer.colorize_array(gray, hints=[{"point": SUIT, "color": [10, -50]}])
    assert np.hypot(*(ab_at(hinted, SUIT) - (10, -50))) < 12
    for elsewhere in ([300, 380], [200, 300]):  # on the suit, too
        moved = ab_at(hinted, elsewhere) - ab_at(plain, elsewhere)
        assert moved[1] < -8, elsewhere
    for other in (WALL, [225, 130]):  # the wall and the face
        assert np.hypot(*(ab_at(hinted, other) - ab_at(plain, other))) < 5
    assert np.array_equal(colorizer.colorize_array(gray), plain)  # what was said is forgotten


def test_gray_is_a_color_that_can_be_said(colorizer: vidcolor.Colorizer) -> None:
    gray = gray_of(skimage.data.coffee())
    region = [[0, 0], [600, 0], [600, 400], [0, 400]]
    hinted = colorizer.colorize_array(gray, hints=[{"region": region, "color": "gray"}])
    assert np.abs(hinted.astype(int) - gray[..., None]).max() <= 2


def test_nothing_said_changes_nothing() -> None:
    with Colorizer.load("default", device="cpu", precision="fp32") as loaded:
        lightness = np.random.default_rng(3).uniform(0, 100, (64, 96)).astype(np.float32)
        (ab,), (look,) = loaded.predict_and_look([lightness])
        (guided,) = loaded.listener.guide([look], [ab], [Known.nothing()])
        assert guided.ab_2hw is ab
        rows, columns = known_size(lightness.shape)
        zero = Known(np.ones((2, rows, columns), np.float32), np.zeros((rows, columns), np.float32))
        assert np.array_equal(loaded.listener.guide([look], [ab], [zero])[0].ab_2hw, ab)


def test_any_model_listens(tiny_model: Path) -> None:
    gray = gray_of(skimage.data.astronaut())
    with vidcolor.Colorizer(tiny_model, device="cpu") as tiny:
        plain = tiny.colorize_array(gray)
        hinted = tiny.colorize_array(gray, hints=[{"point": SUIT, "color": [10, -50], "width": 8}])
    assert np.hypot(*(ab_at(hinted, SUIT) - (10, -50))) < 15
    assert np.hypot(*(ab_at(hinted, WALL) - ab_at(plain, WALL))) < 8


def write_json(path: Path, *hints: object) -> Path:
    path.write_text(json.dumps({"hints": hints}), encoding="utf-8")
    return path


def test_hints_of_photos_by_command_and_api(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo, hints = tmp_path / "scan.png", write_json(tmp_path / "h.json", {"point": SUIT, "color": [10, -50]})
    Image.fromarray(gray_of(skimage.data.astronaut())).save(photo)
    assert cli.run([str(photo), "-o", str(tmp_path / "out.png"), "--hints", str(hints)]) == 0
    by_command = np.asarray(Image.open(tmp_path / "out.png"))
    assert np.hypot(*(ab_at(by_command, SUIT) - (10, -50))) < 12
    assert np.array_equal(vidcolor.colorize_photo(photo, hints=hints), by_command)
    assert np.array_equal(vidcolor.colorize_photo(photo, hints=[{"point": SUIT, "color": [10, -50]}]), by_command)
    other = write_json(tmp_path / "o.json", {"point": SUIT, "color": "red", "file": "other.png"})
    assert cli.run([str(photo), "-o", str(tmp_path / "out2.png"), "--hints", str(other)]) == 2
    assert "o.json: has no hint for scan.png" in capsys.readouterr().err
    timed = write_json(tmp_path / "t.json", {"point": SUIT, "color": "red", "frame": 5})
    assert cli.run([str(photo), "-o", str(tmp_path / "out2.png"), "--hints", str(timed)]) == 2
    assert "has a frame, but this is a photo" in capsys.readouterr().err
    assert not (tmp_path / "out2.png").exists()


def test_hints_of_a_folder_name_their_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, gray = tmp_path / "scans", gray_of(skimage.data.astronaut())
    source.mkdir()
    for name in ("one.png", "two.png"):
        Image.fromarray(gray).save(source / name)
    hints = write_json(tmp_path / "h.json", {"point": SUIT, "color": [10, -50], "file": "two.png"})
    assert cli.run([str(source), "-o", str(tmp_path / "out"), "--hints", str(hints)]) == 0
    one, two = (np.asarray(Image.open(tmp_path / "out" / name)) for name in ("one.png", "two.png"))
    assert np.hypot(*(ab_at(two, SUIT) - (10, -50))) < 12
    assert np.hypot(*(ab_at(one, SUIT) - (10, -50))) > 20
    assert "which is not there" not in capsys.readouterr().err
    hints = write_json(tmp_path / "h.json", {"point": SUIT, "color": "red", "file": "typo.png"})
    assert cli.run([str(source), "-o", str(tmp_path / "out2"), "--hints", str(hints)]) == 0
    assert "hint 1 is for typo.png, which is not there" in capsys.readouterr().err
    hints = write_json(tmp_path / "h.json", {"point": SUIT, "color": "red"})
    assert cli.run([str(source), "-o", str(tmp_path / "out"), "--hints", str(hints)]) == 2
    assert "hint 1: names no file" in capsys.readouterr().err


def write_film(path: Path, frames: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=24)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape, "gray"
        for gray in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(gray), format="gray")))
        out.mux(stream.encode())
    return path


def decode_frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def pan_film(path: Path, frames: int = 30) -> Path:
    """A window that moves over the astronaut, in gray."""
    gray = gray_of(skimage.data.astronaut())
    return write_film(path, [gray[150:342, 4 * number : 256 + 4 * number] for number in range(frames)])


def test_a_hint_at_one_frame_holds_for_the_shot(tmp_path: Path) -> None:
    film = pan_film(tmp_path / "film.mkv")
    hints = write_json(tmp_path / "h.json", {"frame": 12, "point": [180, 180], "color": [10, -50], "width": 12})
    result = vidcolor.colorize_film(film, tmp_path / "out.mkv", hints=hints)
    assert [still.frames for still in result.stills] == [30]
    plain = tmp_path / "plain.mkv"
    vidcolor.colorize_film(film, plain)
    for number in (0, 12, 29):
        at = [180 + 4 * (12 - number), 180]
        said, alone = (ab_at(decode_frames(path)[number], at) for path in (tmp_path / "out.mkv", plain))
        assert said[1] < alone[1] - 12, number
        assert said[1] < -25, number


def test_a_hint_holds_in_its_own_frames_alone(tmp_path: Path) -> None:
    gray = gray_of(skimage.data.astronaut())
    film = write_film(
        tmp_path / "film.mkv", [gray[150:342, 4 * (number % 20) : 256 + 4 * (number % 20)] for number in range(40)]
    )
    hint = {"frame": 8, "point": [180, 180], "color": [10, -50], "width": 12}
    found = []
    for name, hints in (("none", None), ("all", [hint]), ("shot", [hint | {"frames": [0, 19]}])):
        out = tmp_path / f"{name}.mkv"
        vidcolor.colorize_film(
            film, out, steady="flow", codec="ffv1", hints=hints and write_json(tmp_path / f"{name}.json", *hints)
        )
        found.append(np.stack(decode_frames(out)).astype(int))
    none, everywhere, shot = found
    moved = [np.abs(each - none).mean(axis=(1, 2, 3)) for each in (everywhere, shot)]
    assert moved[0][25:].mean() > 1
    assert moved[1][25:].max() == 0
    assert moved[1][5:15].mean() > 1


def test_a_hint_that_no_frame_has_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film = pan_film(tmp_path / "film.mkv", 6)
    out = tmp_path / "out.mkv"
    for hint, said in (
        (
            {"frame": 600, "point": [5, 5], "color": "red"},
            "hint 1: frame 600 cannot be read; the film has frames 0 to 5",
        ),
        ({"point": [5, 5], "color": "red"}, "is a film; say at which frame or time"),
        ({"frame": 1, "point": [5000, 5], "color": "red"}, "5000, 5 lies outside of the picture"),
    ):
        hints = write_json(tmp_path / "h.json", hint)
        assert cli.run([str(film), "-o", str(out), "--hints", str(hints)]) == 2
        assert said in capsys.readouterr().err
        assert not out.exists()
    hints = write_json(tmp_path / "h.json", {"frame": 1, "point": [5, 5], "color": "red", "file": "other.mkv"})
    assert cli.run([str(film), "-o", str(out), "--hints", str(hints)]) == 0
    assert "h.json has no hint for film.mkv" in capsys.readouterr().err


def test_a_run_with_other_hints_is_not_resumed_as_if_nothing_had_changed(tmp_path: Path) -> None:
    source = tmp_path / "scans"
    source.mkdir()
    Image.fromarray(gray_of(skimage.data.astronaut())).save(source / "one.png")
    out, found = tmp_path / "out", []
    for color in ([10, -50], [-40, 30]):
        hints = write_json(tmp_path / "h.json", {"point": SUIT, "color": color, "file": "one.png"})
        assert cli.run([str(source), "-o", str(out), "--hints", str(hints), "--overwrite"]) == 0
        found.append(ab_at(np.asarray(Image.open(out / "one.png")), SUIT))
    assert np.hypot(*(found[0] - found[1])) > 50


def test_a_hint_is_laid_over_a_still_of_the_same_frame_which_holds_elsewhere(tmp_path: Path) -> None:
    film = pan_film(tmp_path / "film.mkv", 12)
    gray = gray_of(skimage.data.astronaut())[150:342, :256]
    green = np.stack([gray * 0.6, gray * 0.9, gray * 0.6], axis=2).astype(np.uint8)
    (tmp_path / "stills").mkdir()
    Image.fromarray(green).save(tmp_path / "stills" / "frame_000000.png")
    region = [[0, 0], [100, 0], [100, 192], [0, 192]]
    hints = write_json(tmp_path / "h.json", {"frame": 0, "region": region, "color": [50, 30]})
    out = tmp_path / "out.mkv"
    result = vidcolor.colorize_film(film, out, reference=tmp_path / "stills", hints=hints)
    assert [(still.name, still.frames) for still in result.stills] == [
        ("frame_000000.png with h.json, frame 0", 12)
    ]  # fmt: skip
    for number in (0, 8):
        frame, moved = decode_frames(out)[number], 4 * number
        assert ab_at(frame, [50 - moved + 8, 100])[0] > 10, number
        assert ab_at(frame, [220 - moved, 100])[0] < -5, number


def test_a_page_that_the_file_does_not_have_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = tmp_path / "scan.png"
    Image.fromarray(gray_of(skimage.data.astronaut())).save(photo)
    hints = write_json(tmp_path / "h.json", {"point": SUIT, "color": "red", "page": 9})
    assert cli.run([str(photo), "-o", str(tmp_path / "out.png"), "--hints", str(hints)]) == 2
    assert "hint 1: its page is 9, and the file has 1" in capsys.readouterr().err
    with pytest.raises(UsageError, match="its page is 2"):
        vidcolor.colorize_photo(np.asarray(Image.open(photo)), hints=[{"point": SUIT, "color": "red", "page": 2}])


@pytest.mark.parametrize("color", ["rgb(300, 0, 0)", "rgb(0, 999999999999, 0)", "hsl(0, 0%, 1000%)"])
def test_colors_out_of_range_are_no_colors(color: str) -> None:
    with pytest.raises(UsageError, match="is unknown"):
        parse_hints([{"point": [5, 5], "color": color}])


def test_any_width_and_many_contradictions_are_drawn() -> None:
    wide = parse_hints([{"stroke": [[5, 5], [90, 90]], "color": "red", "width": 1e9}])
    assert draw(wide, (100, 100), at_half(25, 25)).known_hw.all()
    many = parse_hints([{"point": [5, 5], "color": color} for color in ("red", "blue") * 50])
    drawn = draw(many, (10, 10), at_half(10, 10))
    assert len(drawn.contradictions) == 4
    assert "96 more hints" in drawn.contradictions[-1]


def test_hints_in_a_program_may_be_the_file_s_object_and_tuples(colorizer: vidcolor.Colorizer) -> None:
    gray = gray_of(skimage.data.astronaut())
    listed = colorizer.colorize_array(gray, hints=[{"point": SUIT, "color": [10, -50]}])
    whole = colorizer.colorize_array(gray, hints={"hints": [{"point": tuple(SUIT), "color": (10, -50)}]})
    assert np.array_equal(listed, whole)
    for wrong in ([3], 3, ["x"]):
        with pytest.raises(UsageError):
            colorizer.colorize_array(gray, hints=wrong)


def test_a_name_is_the_same_with_its_accents_apart() -> None:
    """So do older disks of macOS list what people type otherwise."""
    hint = parse_hints({"hints": [{"file": "\u00e9t\u00e9.png", "point": [1, 2], "color": "navy"}]}, "h.json")[0]
    assert hint.is_for("scans/e\u0301te\u0301.png")
    assert not hint.is_for("scans/ete.png")
