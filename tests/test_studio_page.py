"""The studio's page in a real browser: shots appear, a place gets a color, it is undone, saved, and read again."""

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import skimage.data
from browser import Browser, chromium
from PIL import Image
from test_studio import write_film

REQUEST = "Network.requestWillBeSent"
KEYS = {
    "h": 72,
    "Enter": 13,
    "ArrowDown": 40,
    "ArrowRight": 39,
    "b": 66,
    "z": 90,
    "Escape": 27,
    "?": 191,
    "n": 78,
    "g": 71,
}


@pytest.fixture
def browser(tmp_path: Path):
    with chromium(tmp_path / "browser") as opened:
        yield opened


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.mp4", [skimage.data.astronaut(), skimage.data.coffee()], (14, 15))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("astronaut", "cat", "coffee"):
        Image.fromarray(getattr(skimage.data, name)()[::2, ::2]).convert("L").save(folder / f"{name}.jpg")
    return folder


@pytest.fixture
def address(film: Path):
    with serve(film) as found:
        yield found


@contextmanager
def serve(source: Path) -> Iterator[str]:
    """A studio of its own, and its address."""
    command = [sys.executable, "-m", "vidcolor", "studio", str(source), "--no-browser", "--device", "cpu"]
    studio = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert studio.stderr is not None
    line = studio.stderr.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+/\S+/", line)
    assert found, line
    yield found[0]
    studio.send_signal(2)
    assert studio.wait(30) in (0, 130)
    studio.stderr.close()


def ask(browser: Browser, expression: str) -> Any:
    found = browser.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)["result"]
    return found.get("value")


def wait(browser: Browser, expression: str, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not ask(browser, expression):
        assert time.monotonic() < end, f"{expression}: {ask(browser, 'document.body.innerText')[:500]}"
        time.sleep(0.1)


def press(browser: Browser, key: str, modifiers: int = 0) -> None:
    text = key if len(key) == 1 and not modifiers else ""
    for kind in ("keyDown", "keyUp"):
        browser.send(
            "Input.dispatchKeyEvent", type=kind, key=key, text=text if kind == "keyDown" else "", modifiers=modifiers,
            windowsVirtualKeyCode=KEYS[key],
        )  # fmt: skip


def go(browser: Browser, address: str, width: int = 1280, height: int = 900) -> None:
    is_phone = width < 500
    browser.send("Emulation.setDeviceMetricsOverride", width=width, height=height, mobile=is_phone, deviceScaleFactor=1)
    browser.send("Page.navigate", url=address)
    wait(browser, "document.querySelectorAll('#strip button').length > 1")
    wait(browser, "['2 shots', '3 photos'].includes(document.getElementById('progress').textContent)")
    wait(browser, "document.body.classList.contains('wall') || document.getElementById('after').naturalWidth > 0")


def complaints(browser: Browser) -> list[Any]:
    kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
    return [event for event in browser.events if event.get("method") in kinds]


def hosts(browser: Browser) -> set[str]:
    sent = [event for event in browser.events if event.get("method") == "Network.requestWillBeSent"]
    return {
        event["params"]["request"]["url"].split("/")[2] for event in sent if "//" in event["params"]["request"]["url"]
    }


def hints_in(film: Path) -> list[Any]:
    path = film.with_name("film.vidcolor.json")
    return json.loads(path.read_text(encoding="utf-8")).get("hints", []) if path.exists() else []


def until(check: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_place_is_clicked_on_colored_undone_and_kept(browser: Browser, address: str, film: Path):
    go(browser, address)
    x, y, width, height = ask(
        browser, "(r => [r.left, r.top, r.width, r.height])(document.getElementById('frame').getBoundingClientRect())"
    )
    for kind in ("mousePressed", "mouseReleased"):
        place = {"x": x + 0.5 * width, "y": y + 0.7 * height}
        browser.send("Input.dispatchMouseEvent", type=kind, **place, button="left", clickCount=1)
    wait(browser, "document.querySelectorAll('#likely button').length >= 3")
    ask(browser, "document.getElementById('wheel').value = '#1f6f6f', document.getElementById('use-wheel').click()")
    wait(browser, "document.querySelectorAll('#hints li').length === 1")
    wait(browser, "document.getElementById('after').complete && document.getElementById('after').src.includes('v=1')")
    (hint,) = hints_in(film)
    assert hint["color"] == "#1f6f6f"
    assert hint["frames"] == [0, 13]
    assert hint["point"] == pytest.approx([0.5, 0.7], abs=0.02)
    wait(browser, "document.querySelectorAll('#reach i').length > 5")
    press(browser, "z", modifiers=2)
    wait(browser, "document.querySelectorAll('#hints li').length === 0")
    until(lambda: hints_in(film) == [])
    ask(browser, "document.getElementById('redo').click()")
    wait(browser, "document.querySelectorAll('#hints li').length === 1")
    ask(
        browser,
        "[...document.querySelectorAll('#choices button')].find(b => b.textContent === 'saturation 0.6').click()",
    )
    until(lambda: '"saturation": 0.6' in film.with_name("film.vidcolor.json").read_text(encoding="utf-8"))
    browser.send("Page.reload")
    wait(browser, "document.querySelectorAll('#hints li').length === 1")
    wait(browser, "document.querySelector('#strip button').textContent.startsWith('●')")
    if folder := os.environ.get("VIDCOLOR_PICTURES"):
        time.sleep(5)
        content = browser.send("Page.captureScreenshot", format="png")["data"]
        (Path(folder) / "studio.png").write_bytes(base64.b64decode(content))
    assert complaints(browser) == []
    assert hosts(browser) == {address.split("/")[2]}


def test_an_answer_from_before_a_save_does_not_take_what_was_undone(browser: Browser, address: str, film: Path):
    go(browser, address)
    press(browser, "h")
    wait(browser, "document.querySelectorAll('#likely button').length >= 3")
    press(browser, "Enter")
    until(lambda: len(hints_in(film)) == 1)
    wait(browser, "document.getElementById('status').textContent === ''")
    # The page asks for the state while a save is under way, is answered before the studio saves, and hears it after.
    slow = """
        const fetched = window.fetch;
        let tell, save;
        const isTold = new Promise((done) => { tell = done; }), isSaved = new Promise((done) => { save = done; });
        window.late = 0;
        window.fetch = async (path, options = {}) => {
            if (options.method === "PUT") await isTold;
            const answer = await fetched(path, options);
            if (options.method === "PUT") setTimeout(save, 300);
            if (path === "state") {
                tell();
                await isSaved;
                window.late += 1;
            }
            return answer;
        };
    """
    ask(browser, f"(() => {{ {slow} }})()")
    press(browser, "z", modifiers=2)
    wait(browser, "window.late > 0")
    until(lambda: hints_in(film) == [])
    assert not ask(browser, "document.getElementById('redo').disabled")
    ask(browser, "document.getElementById('redo').click()")
    wait(browser, "document.querySelectorAll('#hints li').length === 1")
    until(lambda: len(hints_in(film)) == 1)
    assert complaints(browser) == []


def test_a_film_is_colored_with_what_was_said_just_before(browser: Browser, address: str, film: Path):
    go(browser, address)
    slow = """
        const fetched = window.fetch;
        window.order = [];
        window.fetch = async (path, options = {}) => {
            if (options.method === "PUT") await new Promise((done) => setTimeout(done, 1500));
            if (options.method) window.order.push(options.method);
            return fetched(path, options);
        };
    """
    ask(browser, f"(() => {{ {slow} }})()")
    press(browser, "h")
    wait(browser, "document.querySelectorAll('#likely button').length >= 3")
    press(browser, "Enter")
    ask(
        browser,
        "document.getElementById('output').value = 'out.mp4', document.getElementById('start-render').click()",
    )
    wait(browser, "window.order.length >= 2")
    assert ask(browser, "window.order") == ["PUT", "POST"]
    wait(browser, "document.getElementById('render-state').textContent.includes('is done')", 90)
    assert film.with_name("out.mp4").exists()


def test_what_could_not_be_saved_is_not_shown_as_said(browser: Browser, address: str, film: Path):
    go(browser, address)
    press(browser, "h")
    wait(browser, "document.querySelectorAll('#likely button').length >= 3")
    down = """
        const fetched = window.fetch;
        window.isDown = true;
        window.failed = 0;
        window.fetch = async (path, options = {}) => {
            if (!window.isDown || !(options.method === "PUT" || path === "state")) return fetched(path, options);
            window.failed += 1;
            throw new TypeError("Failed to fetch");
        };
    """
    ask(browser, f"(() => {{ {down} }})()")
    press(browser, "Enter")
    wait(browser, "window.failed >= 2")
    ask(browser, "window.isDown = false")
    wait(browser, "document.querySelectorAll('#hints li').length === 0")
    assert hints_in(film) == []


def test_nothing_is_said_of_a_shot_whose_end_is_not_found(browser: Browser, address: str, film: Path):
    go(browser, address)
    unfinished = """
        const fetched = window.fetch;
        window.isOpen = true;
        window.told = 0;
        window.fetch = async (path, options = {}) => {
            const answer = await fetched(path, options);
            if (path !== "state") return answer;
            const state = await answer.json();
            if (window.isOpen) Object.assign(state.shots.at(-1), { last: null });
            state.surveyed = !window.isOpen;
            setTimeout(() => { window.told += 1; });
            return new Response(JSON.stringify(state));
        };
    """
    ask(browser, f"(() => {{ {unfinished} }})()")
    wait(browser, "window.told > 0")
    press(browser, "ArrowDown")
    press(browser, "h")
    wait(browser, "document.querySelectorAll('#likely button').length >= 3")
    press(browser, "Enter")
    wait(browser, "document.getElementById('problem').textContent.includes('is not found yet')")
    assert hints_in(film) == []
    ask(browser, "window.isOpen = false, window.told = 0")
    wait(browser, "window.told > 0")
    press(browser, "Enter")
    until(lambda: len(hints_in(film)) == 1)
    assert hints_in(film)[0]["frames"] == [14, 28]


def test_the_keyboard_is_enough(browser: Browser, address: str, film: Path):
    go(browser, address)
    press(browser, "ArrowDown")
    wait(browser, "document.getElementById('where').textContent.startsWith('frame 14')")
    press(browser, "ArrowRight")
    wait(browser, "document.getElementById('where').textContent.startsWith('frame 15')")
    press(browser, "h")
    press(browser, "ArrowRight")
    wait(browser, "document.querySelectorAll('#likely button').length >= 3")
    press(browser, "Enter")
    until(lambda: len(hints_in(film)) == 1)
    (hint,) = hints_in(film)
    assert (hint["frame"], hint["frames"]) == (15, [14, 28])
    assert hint["point"] == pytest.approx([0.51, 0.5], abs=0.001)
    press(browser, "?")
    assert ask(browser, "document.getElementById('help').open")
    press(browser, "Escape")
    press(browser, "b")
    assert ask(browser, "document.getElementById('divider').getAttribute('aria-valuenow')") == "100"
    assert complaints(browser) == []


def test_the_page_fits_a_phone(browser: Browser, address: str):
    go(browser, address, 390, 800)
    assert ask(browser, "document.documentElement.scrollWidth") <= 390
    assert complaints(browser) == []


def test_photos_are_looked_at_corrected_and_colored(browser: Browser, scans: Path):
    project = scans.with_name("scans.vidcolor.json")
    with serve(scans) as address:
        go(browser, address)
        assert ask(browser, "getComputedStyle(document.querySelector('main')).display") == "none"
        wait(browser, "[...document.querySelectorAll('#strip img')].every(image => image.naturalWidth > 0)")
        press(browser, "n")
        wait(browser, "document.getElementById('after').naturalWidth > 0")
        name = "document.querySelector('#strip [aria-current]').title"
        first = ask(browser, name)
        press(browser, "h")
        wait(browser, "document.querySelectorAll('#likely button').length >= 3")
        press(browser, "Enter")
        until(lambda: project.exists() and len(json.loads(project.read_text(encoding="utf-8"))["hints"]) == 1)
        (hint,) = json.loads(project.read_text(encoding="utf-8"))["hints"]
        assert hint["file"] == first
        assert "frame" not in hint
        wait(browser, "document.querySelectorAll('#hints li').length === 1")
        press(browser, "n")
        wait(browser, f"{name} !== '{first}'")
        second = ask(browser, name)
        press(browser, "g")
        until(lambda: json.loads(project.read_text(encoding="utf-8")).get("seen") == [second])
        wait(browser, f"![{first!r}, {second!r}].includes({name})")
        press(browser, "Escape")
        wait(browser, "document.body.classList.contains('wall')")
        browser.send("Page.reload")
        wait(
            browser, "[...document.querySelectorAll('#strip .label')].some(label => label.textContent.startsWith('✓'))"
        )
        ask(browser, "document.getElementById('show-render').click()")
        assert ask(browser, "document.getElementById('output').value") == "scans-color"
        ask(browser, "document.getElementById('start-render').click()")
        wait(browser, "document.getElementById('render-state').textContent.includes('scans-color is done')", 90)
        assert len(list(scans.with_name("scans-color").glob("*.jpg"))) == 3
        browser.send("Emulation.setDeviceMetricsOverride", width=390, height=800, mobile=True, deviceScaleFactor=1)
        assert ask(browser, "document.documentElement.scrollWidth") <= 390
    assert complaints(browser) == []
    assert hosts(browser) == {address.split("/")[2]}


def test_the_film_is_colored_from_the_page(browser: Browser, address: str, film: Path):
    go(browser, address)
    ask(browser, "document.getElementById('show-render').click()")
    assert ask(browser, "document.getElementById('output').value") == "film-color.mp4"
    ask(browser, "document.getElementById('start-render').click()")
    wait(browser, "document.getElementById('render-state').textContent.includes('film-color.mp4 is done')", 90)
    assert film.with_name("film-color.mp4").stat().st_size > 1000
    assert complaints(browser) == []
