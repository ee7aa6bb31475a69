"""Film or photos colored from the page: the command line's own job, in a process of its own, with its progress."""

import json
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

from vidcolor.studio.desk import Desk

SAID_LINES = 20  # of what a job says beside its events, the last of which may say why it ended
STOP_SECONDS = 20  # that a job may take to leave what can be gone on with


class Rendering:
    """One run of `vidcolor source -o output --project ...`."""

    def __init__(self, desk: Desk, output: Path, *, is_overwriting: bool) -> None:
        """Starts it. is_overwriting: replace an existing output."""
        settings = desk.settings
        command = [sys.executable, "-m", "vidcolor", "colorize", str(desk.source), "-o", str(output), "--json"]
        command += ["--model", settings.model, "--device", settings.device, "--precision", settings.precision]
        command += ["--saturation", str(settings.saturation)]
        command += ["--size", str(settings.size)] if settings.size else []
        command += ["--palette", str(settings.palette)] if settings.palette else []
        command += ["--project", str(desk.path)] if desk.path.exists() else []
        command += ["--keep-segments"] if desk.kind == "film" and desk.path.exists() else []
        command += ["--overwrite"] if is_overwriting else []
        self._output, self._facts = output, dict[str, Any]()
        self._problem, self._warnings = "", list[str]()
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        self._reader = threading.Thread(target=self._read, name="rendering", daemon=True)
        self._reader.start()

    @property
    def is_running(self) -> bool:
        """Whether it still colors."""
        return self._process.poll() is None or self._reader.is_alive()

    def _read(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        said: deque[str] = deque(maxlen=SAID_LINES)
        with self._process.stdout as events, self._process.stderr as errors:
            listener = threading.Thread(target=said.extend, args=(errors,), name="rendering's errors", daemon=True)
            listener.start()
            for line in events:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue  # what a library printed
                if event.get("event") == "error":
                    self._problem = str(event.get("message", ""))
                elif event.get("event") == "warning":
                    self._warnings.append(str(event.get("message", "")))
                elif event.get("event") in ("start", "progress", "done", "passed"):
                    self._facts = event
            listener.join()
        if self._process.wait() and not self._problem:
            lines = [line.strip() for line in said if line.strip()]
            self._problem = lines[-1].removeprefix("vidcolor: ") if lines else "the run ended."

    def stop(self) -> None:
        """Interrupt it, as Ctrl-C does: the same run goes on later."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def state(self) -> dict[str, Any]:
        """How far it is, for the page."""
        return {
            "output": self._output.name, "running": self.is_running, "facts": self._facts, "problem": self._problem,
            "warnings": self._warnings[-5:],
        }  # fmt: skip
