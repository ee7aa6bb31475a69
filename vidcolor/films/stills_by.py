"""Stills by another program: a user's command colors the first frame of every shot, and the film follows.

The command is run for each shot with the frame as a PNG file, several at once, and writes a picture of its own. What it
has made is kept beside the output until the film is done, so that an interrupted run does not ask again.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vidcolor import outputs
from vidcolor.errors import SinkError, SourceError, UsageError
from vidcolor.filenames import hidden_name
from vidcolor.films.pipeline import Source, view_of
from vidcolor.films.preview import find_shots, render_gray
from vidcolor.films.references import reference_name
from vidcolor.inference.colorizer import Colorizer
from vidcolor.media.frame_clock import FrameClock
from vidcolor.media.identity import identity_of
from vidcolor.printable import printable
from vidcolor.stills.rgb import decode, is_gray, write_png
from vidcolor.stills.upright import read_opacity

AT_ONCE = 2  # commands
_PLACEHOLDER = re.compile(r"\{(in|out|shot|frame|time)\}")
SAID = 120  # letters of what a failed command wrote
PATIENCE = 5.0  # seconds that a command has to stop
FRAMES, LIST = "frames", "shots.txt"  # in the folder: the frames that are shown to the command, and their numbers


@dataclass(frozen=True)
class MadeStills:
    """What a command has made."""

    stills: tuple[Path, ...]
    failures: tuple[str, ...]  # of shots that have no still, one line each


def split_words(command: str, *, windows: bool = os.name == "nt") -> list[str]:
    """The words of a command as a shell splits them. windows: only `"` quotes, and a backslash is one of a path.

    Raises ValueError for a quote without its end.
    """
    words = shlex.shlex(command, posix=True)
    words.whitespace_split, words.commenters = True, ""
    if windows:
        words.quotes, words.escape = '"', ""
    return list(words)


def parse_command(command: str) -> list[str]:
    """The words of a command. Raises UsageError unless it has {in} and {out}."""
    try:
        words = split_words(command)
    except ValueError as error:
        raise UsageError(f"--stills-by {command[:80]!r}: cannot be split into words ({error}).") from error
    for needed in ("{in}", "{out}"):
        if not any(needed in word for word in words):
            raise UsageError(
                f"--stills-by {command[:80]!r}: has no {needed}; {{in}} is the frame as PNG, {{out}} where the command"
                " puts its picture."
            )
    program = shutil.which(words[0])
    if program is None:
        raise UsageError(f"--stills-by: there is no program {words[0]!r} to run.")
    return [program, *words[1:]]  # Windows finds no .bat or .cmd by itself


def stills_folder(target: Path) -> Path:
    """The hidden folder beside an output where its stills are kept until it is done."""
    return target.with_name(hidden_name(target.name, "-stills"))


def make_stills(
    command: str, source: Source, target: Path, colorizer: Colorizer, *, first: int = 0, is_again: bool = False,
    on_still: Callable[[int, int], None] = lambda *_: None,
) -> MadeStills:  # fmt: skip
    """Run a command for the first frame of every shot; what an earlier run has made of the same film is taken.

    A shot for which the command failed is not asked again by a run that resumes, as the film has begun without it.
    source: the film, which is decoded once more.  first: number of its first frame.  is_again: start over.  on_still:
    called with the shots done and in total.  Raises UsageError for a bad command, SourceError where it fails for every
    shot, SinkError where nothing can be written beside the output.
    """
    words, folder = parse_command(command), stills_folder(target)
    if folder.is_symlink():
        raise SinkError(f"{folder}: is a link, and nothing is written through it. Remove it.")
    asked_before = f"{command}\n{identity_of(Path(source.info.path))}\n{first} {source.info.frame_count}"
    run = hashlib.sha256(asked_before.encode(errors="backslashreplace")).hexdigest()
    numbers = None if is_again else _read_list(folder / LIST, run)
    if numbers is None:
        remove_stills(target)
        numbers = _export_frames(folder, source, colorizer, first, run)
    clock = FrameClock(Path(source.info.path))
    asked = [_Asked(place, number, clock.time_of(number), folder) for place, number in enumerate(numbers, start=1)]
    commands = _Commands(words)
    failures: dict[_Asked, str] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tasks = [pool.submit(commands.run, each) for each in asked]
        try:
            for done, (each, task) in enumerate(zip(asked, tasks, strict=True), start=1):
                if failure := task.result():
                    failures[each] = failure
                on_still(done, len(tasks))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            commands.stop()
            raise
    made = tuple(each.still for each in asked if each.still.is_file())
    if not made:
        remove_stills(target)
        first_failure = next(iter(failures.values()), "the film has no shot")
        raise SourceError(f"--stills-by made no still: {first_failure}.")
    for each, failure in failures.items():
        outputs.write(each.failed, failure.encode(), overwrite=True)
    return MadeStills(made, tuple(failures.values()))


def remove_stills(target: Path) -> None:
    """Remove what was kept for an output."""
    if (folder := stills_folder(target)).is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Asked:
    """A shot that the command is run for."""

    place: int  # of the shot, from 1
    number: int  # of its first frame
    seconds: float
    folder: Path

    @property
    def frame(self) -> Path:
        return self.folder / FRAMES / reference_name(self.number)

    @property
    def still(self) -> Path:
        return self.folder / reference_name(self.number)

    @property
    def failed(self) -> Path:
        """Tells why the command failed, so that a run that resumes does not ask again."""
        return self.still.with_suffix(".failed")

    def fill(self, word: str, out: Path) -> str:
        """A word of the command with what stands for its placeholders."""
        values = {"in": self.frame, "out": out, "shot": self.place, "frame": self.number, "time": f"{self.seconds:.3f}"}
        return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), word)


def _read_list(path: Path, run: str) -> list[int] | None:
    """Numbers of the frames that an earlier run exported; None where it had another film or command, or is damaged."""
    try:
        before, *numbers = path.read_text(encoding="ascii").split()
        return [int(number) for number in numbers] if before == run else None
    except (OSError, ValueError):
        return None


def _export_frames(folder: Path, source: Source, colorizer: Colorizer, first: int, run: str) -> list[int]:
    """Write the first frame of every shot as PNG; gives their numbers."""
    try:
        (folder / FRAMES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{folder}: cannot be made ({error.strerror}).") from error
    info, numbers = source.info, []
    for shot in find_shots(source, partial(colorizer.lightness, picture=info.picture, view=view_of(info))):
        numbers.append(first + shot.number)
        write_png(folder / FRAMES / reference_name(numbers[-1]), render_gray(shot, info))
    outputs.write(folder / LIST, "\n".join([run, *map(str, numbers)]).encode(), overwrite=True)
    return numbers


class _Commands:
    """Runs the command for shots, in several threads, and can stop what runs."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words, self._lock = words, threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_stopped = False

    def run(self, asked: _Asked) -> str:
        """Run the command for one shot unless that was done; gives why it failed, or nothing."""
        if asked.still.is_file():
            return ""
        if asked.failed.is_file():
            return asked.failed.read_text(encoding="utf-8", errors="replace")
        out = asked.still.with_name(f"making-{os.getpid()}-{asked.still.name}")
        why = self._make(asked, out)
        if why:
            _remove(out)
            return f"the command for shot {asked.place}, frame {asked.number}, {why}"
        out.replace(asked.still)
        return ""

    def stop(self) -> None:
        """Stop the commands that run, and start no more."""
        with self._lock:
            self._is_stopped = True
            running = list(self._running)
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()

    def _make(self, asked: _Asked, out: Path) -> str:
        words = [asked.fill(word, out) for word in self._words]
        try:
            with self._lock:
                if self._is_stopped:
                    return "was not run"
                process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
                )
                self._running.add(process)
        except OSError as error:
            return f"cannot be run ({error.strerror})"
        try:
            _, told = process.communicate()
        finally:
            with self._lock:
                self._running.discard(process)
        said = told.decode(errors="replace").strip().splitlines()
        return _judge(process.returncode, printable(said[-1]) if said else "", out)


def _remove(path: Path) -> None:
    """Remove whatever a command has left under a name."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _judge(code: int, said: str, out: Path) -> str:
    """Why what a command did is no still; nothing where it is one."""
    if code:
        return f"ended with {code}" + (f": {said[:SAID]}" if said else "")
    if not out.is_file():
        return "wrote no picture to {out}"
    rgb = decode(out, short_side=64)
    if rgb is None:
        return "wrote what is no picture that can be read"
    opacity = read_opacity(out)
    if opacity is not None and not opacity.any():
        return "wrote a picture that is transparent all over"
    return "wrote a picture without colors" if is_gray(rgb) and (opacity is None or opacity.min() == 1) else ""
