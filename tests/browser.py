"""A headless Chromium, told what to do over the DevTools protocol's pipe, which needs no package and no port."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless_shell")
KEYS = {"+": 187, "-": 189, "?": 191, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Escape": 27}


class Browser:
    """One page in a browser. `errors`: what it said on its console as a warning or an error."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = os.fdopen(read, "rb"), os.fdopen(write, "wb")
        self._number, self._session, self._rest = 0, "", b""
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command's result; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        self._write.flush()
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            chunk = os.read(self._read.fileno(), 1 << 16)
            assert chunk, "the browser has ended"
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, path: Path, *, width: int = 1200, height: int = 800, scheme: str = "light") -> None:
        """Show a file in a window of this size."""
        self.events.clear()
        is_phone = width < 500
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, mobile=is_phone, deviceScaleFactor=1
        )
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.settle("document.readyState == 'complete' && location.protocol == 'file:'")

    def run(self, script: str) -> Any:
        """The value of an expression, or of what it promises."""
        done = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def settle(self, condition: str = "true") -> None:
        """Wait until a condition holds, and for the picture after it."""
        waiting = f"""new Promise((done, fail) => {{
            const began = performance.now();
            const look = () => ({condition}) ? requestAnimationFrame(() => setTimeout(done))
                : performance.now() - began > 15000 ? fail(new Error("never: " + {json.dumps(condition)}))
                : setTimeout(look, 20);
            look();
        }})"""
        self.run(waiting)

    def press(self, *keys: str, shift: bool = False) -> None:
        """Keys, one after another."""
        for key in keys:
            text = {"text": key} if len(key) == 1 else {}
            code = KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
            parameters = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0, **text}
            self.send("Input.dispatchKeyEvent", type="keyDown", **parameters)
            self.send("Input.dispatchKeyEvent", type="keyUp", **parameters)
        self.settle()

    def click(self, selector: str) -> None:
        """The left button in the middle of an element."""
        self.run(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center'}})")
        self.drag([self.middle(selector)])

    def middle(self, selector: str) -> tuple[float, float]:
        """Of an element, in the window."""
        x, y = self.run(
            f"(box => [box.x + box.width / 2, box.y + box.height / 2])"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        return x, y

    def drag(self, places: list[tuple[float, float]]) -> None:
        """The left button down at the first place, up at the last."""
        kinds = ["mousePressed", *["mouseMoved"] * (len(places) - 1), "mouseReleased"]
        for kind, (x, y) in zip(kinds, [*places, places[-1]], strict=True):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
        self.settle()

    def touch(self, *fingers: list[tuple[float, float]]) -> None:
        """Fingers from place to place, all at the same time."""
        for step, places in enumerate(zip(*fingers, strict=True)):
            points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
            self.send("Input.dispatchTouchEvent", type="touchMove" if step else "touchStart", touchPoints=points)
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.settle()

    def screenshot(self, path: Path) -> None:
        """What the window shows, as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    @property
    def errors(self) -> list[str]:
        """What the console, and the page's own exceptions, have said."""
        self.run("1")
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled", "Network.loadingFailed")
        return [json.dumps(event["params"])[:500] for event in self.events if event.get("method") in kinds]

    @property
    def requests(self) -> list[str]:
        """Addresses that were asked for, but for the page's own data."""
        addresses = [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
        return [address for address in addresses if not address.startswith("data:")]

    def close(self) -> None:
        """End it, and wait for nothing."""
        self._session = ""
        self.send("Browser.close")
        self._read.close()
        self._write.close()


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A browser with its profile in `folder`. Skips the test where there is none, or where it does not start."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium here; `apt-get install chromium` brings one")
    to_browser, our_write = os.pipe()
    our_read, from_browser = os.pipe()
    options = (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}",
    )  # fmt: skip
    # The pipe's ends have to be file descriptors 3 and 4 of the browser; bash renumbers them.
    launch = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
    process = subprocess.Popen(
        ["bash", "-c", launch, "bash", program, *options],
        pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"HOME": str(folder)},
    )  # fmt: skip
    os.close(to_browser)
    os.close(from_browser)
    try:
        try:
            browser = Browser(our_read, our_write)
        except (AssertionError, OSError) as error:
            pytest.skip(f"{program} does not start here: {error}")
        yield browser
        browser.close()
        process.wait(timeout=20)
    finally:
        process.kill()
        process.wait()
