"""The page in a browser: the divider, zoom and keys work, on a phone too, and nothing is asked of any network."""

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, chromium
from PIL import Image

from vidcolor.batch.report import FileResult, write_html
from vidcolor.media.display import encode_clip
from vidcolor.page import Clip, Pair, document, gallery

RED, BLUE = (220, 30, 30), (30, 30, 220)
SIZE = (300, 400)  # rows, columns
HOSTILE = "<img src=x onerror=alert(1)>\"'.jpg"


def flat(color: tuple[int, int, int], size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.full((*size, 3), color, np.uint8)


def jpeg(color: tuple[int, int, int], size: tuple[int, int] = SIZE) -> bytes:
    file = io.BytesIO()
    Image.fromarray(flat(color, size)).save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo, a photo with no larger copy, a clip: red before, blue after."""
    small, large = [[jpeg(color, size) for color in (RED, BLUE)] for size in ((60, 80), (1200, 1600))]
    both = np.concatenate([flat(RED), flat(BLUE)])
    film = encode_clip(((Fraction(number, 10), both) for number in range(10)), 1.0, 1_000_000)
    pairs = [
        Pair("photo.jpg", small[0], small[1], (large[0], large[1])),
        Pair(HOSTILE, small[0], small[1]),
        Pair("clip", small[0], small[1], clip=Clip(film, SIZE[1], 2 * SIZE[0])),
    ]
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(document("Before & after", gallery(pairs)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def viewer(browser: Browser, page: Path) -> Iterator[Browser]:
    """The first picture, filling the window."""
    browser.open(page)
    browser.click("figure button")
    assert browser.run("document.querySelector('#viewer').open")
    yield browser
    assert browser.errors == []
    assert browser.requests == [page.resolve().as_uri()]


def shown(browser: Browser, tmp_path: Path) -> np.ndarray:
    browser.screenshot(tmp_path / "screen.png")
    with Image.open(tmp_path / "screen.png") as image:
        return np.asarray(image.convert("RGB")).astype(int)


def frame_of(browser: Browser) -> tuple[float, float, float, float]:
    """x, y, width and height of what is seen of the picture."""
    script = "(box => [box.x, box.y, box.width, box.height])(document.querySelector('#frame').getBoundingClientRect())"
    x, y, width, height = browser.run(script)
    return x, y, width, height


def share_of_red(browser: Browser, tmp_path: Path) -> float:
    """Of the width of the picture, along a line that has neither labels nor the divider's handle."""
    x, y, width, height = frame_of(browser)
    line = shown(browser, tmp_path)[int(y + height * 0.8), int(x) : int(x + width)]
    assert ((line[:, 0] > 150) | (line[:, 2] > 150)).mean() > 0.97
    return float(((line[:, 0] > 150) & (line[:, 2] < 100)).mean())


def at(browser: Browser) -> int:
    return int(browser.run("document.querySelector('#divider').getAttribute('aria-valuenow')"))


def width_of_picture(browser: Browser) -> float:
    return float(browser.run("document.querySelector('.layer.after > :first-child').getBoundingClientRect().width"))


def test_the_mouse_moves_the_divider(viewer: Browser, tmp_path: Path):
    assert share_of_red(viewer, tmp_path) == pytest.approx(0.5, abs=0.02)
    x, y, width, height = frame_of(viewer)
    viewer.drag([viewer.middle("#divider"), (x + width * 0.4, y + 50), (x + width * 0.2, y + height / 2)])
    assert share_of_red(viewer, tmp_path) == pytest.approx(0.2, abs=0.02)
    viewer.drag([(x + width * 0.9, y + height / 2)])  # where one presses, there it jumps
    assert share_of_red(viewer, tmp_path) == pytest.approx(0.9, abs=0.02)


def test_keys_move_the_divider_and_show_either_side(viewer: Browser, tmp_path: Path):
    viewer.press("ArrowRight", "ArrowRight")
    assert at(viewer) == 60
    assert share_of_red(viewer, tmp_path) == pytest.approx(0.6, abs=0.02)
    viewer.press("b")
    assert share_of_red(viewer, tmp_path) > 0.99
    viewer.press("a")
    assert share_of_red(viewer, tmp_path) < 0.01
    viewer.press("a")
    assert at(viewer) == 50
    assert viewer.run("document.activeElement.id") == "divider"
    assert viewer.run("document.querySelector('#divider').getAttribute('aria-valuetext')") == "50 % before"


def test_zoom_by_keys_wheel_and_double_click_keeps_the_divider_in_sight(viewer: Browser, tmp_path: Path):
    whole = width_of_picture(viewer)
    viewer.press("+")
    assert width_of_picture(viewer) == pytest.approx(1.4 * whole, rel=0.01)
    assert share_of_red(viewer, tmp_path) == pytest.approx(0.5, abs=0.02)
    viewer.press("-")
    assert width_of_picture(viewer) == pytest.approx(whole, rel=0.01)
    viewer.press("z")
    assert width_of_picture(viewer) == pytest.approx(1600, rel=0.01)  # its own pixels
    viewer.press("z")
    x, y = viewer.middle("#frame")
    viewer.send("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-200)
    viewer.settle(f"document.querySelector('.layer.after > :first-child').getBoundingClientRect().width > {whole} + 9")
    viewer.press("0")
    assert width_of_picture(viewer) == pytest.approx(whole, rel=0.01)


def test_a_near_picture_is_moved_by_dragging_and_by_keys_but_not_out_of_sight(viewer: Browser):
    left = "document.querySelector('.layer.after > :first-child').getBoundingClientRect().left"
    viewer.press("z")
    x, y, width, height = frame_of(viewer)
    began = viewer.run(left)
    viewer.drag([(x + width * 0.8, y + height / 2), (x + width * 0.7, y + height / 2)])
    assert viewer.run(left) == pytest.approx(began - width * 0.1, abs=2)
    assert at(viewer) == 50
    viewer.press("ArrowLeft", shift=True)
    assert viewer.run(left) == pytest.approx(began - width * 0.1 + 80, abs=2)
    viewer.press(*["ArrowLeft"] * 12, shift=True)
    assert viewer.run(left) == pytest.approx(x, abs=1)


def test_pictures_follow_each_other_and_escape_leads_back(viewer: Browser):
    caption = "document.querySelector('#caption').textContent"
    assert viewer.run(caption).startswith("1 / 3")
    viewer.press("ArrowDown")
    assert viewer.run(caption).endswith(HOSTILE)
    viewer.press("ArrowUp", "ArrowUp")
    assert viewer.run(caption).endswith("photo.jpg")
    viewer.press("ArrowDown", "?")
    assert viewer.run("document.querySelector('#help').open")
    viewer.press("Escape")
    assert viewer.run("!document.querySelector('#help').open && document.querySelector('#viewer').open")
    viewer.press("Escape")
    assert not viewer.run("document.querySelector('#viewer').open")
    assert viewer.run("[...document.querySelectorAll('figure button')].indexOf(document.activeElement)") == 1


def test_a_clip_plays_both_sides_in_step(viewer: Browser, tmp_path: Path):
    viewer.press("ArrowDown", "ArrowDown")
    viewer.settle("!document.querySelector('#sorry').hidden || document.querySelector('video').currentTime > 0.1")
    if not viewer.run("document.querySelector('#sorry').hidden"):
        pytest.skip("this Chromium was built without H.264")
    assert share_of_red(viewer, tmp_path) == pytest.approx(0.5, abs=0.02)
    viewer.press(" ")
    assert viewer.run("document.querySelector('video').paused")
    assert viewer.run("document.querySelector('#play').getAttribute('aria-label')") == "Play"


def test_a_phone_shows_all_without_scrolling_sideways(browser: Browser, page: Path, tmp_path: Path):
    browser.open(page, width=360, height=740)
    browser.send("Emulation.setTouchEmulationEnabled", enabled=True)
    inside = "document.documentElement.scrollWidth <= innerWidth"
    assert browser.run(inside)
    browser.click("figure button")
    assert browser.run(inside)
    boxes = "[...document.querySelectorAll('#viewer button:not([hidden])')].map(one => one.getBoundingClientRect())"
    assert browser.run(f"{boxes}.every(box => box.left >= 0 && box.right <= innerWidth && box.bottom <= innerHeight)")
    assert browser.run(f"{boxes}.every(box => box.width >= 36 && box.height >= 36)")  # for fingers
    x, y, width, height = frame_of(browser)
    browser.touch([(x + width / 2, y + height / 2), (x + width * 0.4, y + height / 2), (x + width / 4, y + height / 2)])
    assert share_of_red(browser, tmp_path) == pytest.approx(0.25, abs=0.03)
    middle = (x + width / 2, y + height / 2)
    pinched = [[(middle[0] + side * apart, middle[1]) for apart in (40, 60, 80, 100)] for side in (-1, 1)]
    browser.touch(*pinched)
    assert width_of_picture(browser) == pytest.approx(2.5 * width, rel=0.1)
    assert browser.errors == []
    browser.send("Emulation.setTouchEmulationEnabled", enabled=False)


def test_light_and_dark_by_the_system_and_by_the_button(browser: Browser, page: Path, tmp_path: Path):
    for scheme, is_dark in (("light", False), ("dark", True)):
        browser.open(page, scheme=scheme)
        assert (shown(browser, tmp_path)[-5, 5].mean() < 60) == is_dark
        browser.click("#theme")
        assert (shown(browser, tmp_path)[-5, 5].mean() < 60) != is_dark
    assert browser.errors == []


def test_all_pictures_show_either_side(browser: Browser, page: Path, tmp_path: Path):
    browser.open(page)
    for key, red in (("b", 1.0), ("a", 0.0), ("s", 0.5)):
        browser.press(key)
        x, y = browser.middle("figure button")
        width = browser.run("document.querySelector('figure button').offsetWidth")
        line = shown(browser, tmp_path)[int(y), int(x - width / 2) : int(x + width / 2)]
        assert (line[:, 0] > line[:, 2] + 50).mean() == pytest.approx(red, abs=0.05)
    assert browser.run("document.querySelector('input[name=all]:checked').value") == "50"


def test_the_report_of_an_archive_is_such_a_page(browser: Browser, tmp_path: Path):
    lines = [
        FileResult("good.jpg", "colored", "good.jpg"),
        FileResult("torn.jpg", "failed", reason="torn"),
        FileResult(HOSTILE, "failed"),
    ]
    pairs = [Pair("good.jpg", jpeg(RED, (168, 224)), jpeg(BLUE, (168, 224)))]
    write_html(tmp_path / "report.html", lines, pairs, {"input": "scans"})
    browser.open(tmp_path / "report.html", width=360, height=740)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    rows = "[...document.querySelectorAll('tbody tr')].filter(row => !row.hidden).length"
    assert browser.run(rows) == 2
    browser.click("#filter")
    browser.press(*"torn")
    assert browser.run(rows) == 1
    browser.open(tmp_path / "report.html")
    browser.click("figure button")
    browser.press("ArrowLeft")
    assert at(browser) == 45
    assert share_of_red(browser, tmp_path) == pytest.approx(0.45, abs=0.02)
    assert width_of_picture(browser) == 3 * 224  # a small picture is not enlarged beyond recognition
    assert browser.errors == []


def test_names_are_text_and_every_picture_and_button_has_one(browser: Browser, page: Path):
    assert "<img src=x" not in page.read_text(encoding="utf-8")
    browser.open(page)
    assert browser.run("[...document.querySelectorAll('img')].every(one => one.alt)")
    assert browser.run(
        "[...document.querySelectorAll('button')].every(one => one.ariaLabel || one.textContent || one.hidden)"
    )
    assert browser.errors == []


def test_names_on_a_page_cannot_turn_the_writing_around_or_be_unseen():
    name = "scan\u202egpj.exe\x1b[31m\n\udcff.jpg"
    written = gallery([Pair(name, jpeg(RED), jpeg(BLUE))]) + document(name, "")
    assert r"scan\u202egpj.exe\x1b[31m\n\udcff.jpg" in written
    assert not {"\u202e", "\x1b", "\udcff"} & set(written)
