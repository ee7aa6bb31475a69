"""Stills by another program: a user's command colors the first frame of every shot, and the film follows.

The command is run for each shot with the frame as a PNG file, several at once, and writes a picture of its own. What it
has made is kept beside the output until the film is done, so that an interrupted run does not ask again.
"""

import shlex
import shutil
import subprocess
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
from vidcolor.printable import printable
from vidcolor.stills.rgb import decode, write_png

AT_ONCE = 2  # commands
PLACEHOLDERS = ("in", "out", "shot", "frame", "time")
SAID = 120  # letters of what a failed command wrote
FRAMES, LIST = "frames", "shots.txt"  # in the folder: the frames that are shown to the command, and their numbers


@dataclass(frozen=True)
class MadeStills:
    """What a command has made."""

    stills: tuple[Path, ...]
    failures: tuple[str, ...]  # of shots that have no still, one line each


def parse_command(command: str) -> list[str]:
    """The words of a command. Raises UsageError unless it has {in} and {out}, and no unknown placeholder."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--stills-by {command[:80]!r}: cannot be split into words ({error}).") from error
    for needed in ("{in}", "{out}"):
        if not any(needed in word for word in words):
            raise UsageError(
                f"--stills-by {command[:80]!r}: has no {needed}; {{in}} is the frame as PNG, {{out}} where the command"
                " puts its picture."
            )
    if shutil.which(words[0]) is None:
        raise UsageError(f"--stills-by: there is no program {words[0]!r} to run.")
    return words


def stills_folder(target: Path) -> Path:
    """The hidden folder beside an output where its stills are kept until it is done."""
    return target.with_name(hidden_name(target.name, "-stills"))


def make_stills(
    command: str, source: Source, target: Path, colorizer: Colorizer, *, first: int = 0, is_again: bool = False,
    on_still: Callable[[int, int], None] = lambda *_: None,
) -> MadeStills:  # fmt: skip
    """Run a command for the first frame of every shot; what an earlier run has made is taken, failures too.

    source: the film, which is decoded once more.  first: number of its first frame.  is_again: start over.  on_still:
    called with the shots done and in total.  Raises UsageError for a bad command, SourceError where it fails for every
    shot, SinkError where nothing can be written beside the output.
    """
    words, folder = parse_command(command), stills_folder(target)
    if is_again:
        remove_stills(target)
    numbers = _export_frames(folder, source, colorizer, first)
    rate = source.info.frame_rate
    asked = [
        _Asked(place, number, float(number / rate) if rate else 0.0, folder)
        for place, number in enumerate(numbers, start=1)
    ]
    failures = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tasks = [pool.submit(_run, words, each) for each in asked]
        try:
            for done, task in enumerate(tasks, start=1):
                failures += [failure] if (failure := task.result()) else []
                on_still(done, len(tasks))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    made = tuple(each.still for each in asked if each.still.is_file())
    if not made:
        raise SourceError(f"--stills-by made no still: {failures[0] if failures else 'the film has no shot'}.")
    return MadeStills(made, tuple(failures))


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
        for name, value in values.items():
            word = word.replace(f"{{{name}}}", str(value))
        return word


def _export_frames(folder: Path, source: Source, colorizer: Colorizer, first: int) -> list[int]:
    """Write the first frame of every shot as PNG; gives their numbers. Not again where an earlier run did."""
    listed = folder / LIST
    if folder.is_symlink():
        raise SinkError(f"{folder}: is a link, and nothing is written through it. Remove it.")
    if listed.is_file():
        return [int(line) for line in listed.read_text(encoding="ascii").split()]
    try:
        (folder / FRAMES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{folder}: cannot be made ({error.strerror}).") from error
    info, numbers = source.info, []
    for shot in find_shots(source, partial(colorizer.lightness, picture=info.picture, view=view_of(info))):
        numbers.append(first + shot.number)
        write_png(folder / FRAMES / reference_name(numbers[-1]), render_gray(shot, info))
    outputs.write(listed, "\n".join(map(str, numbers)).encode(), overwrite=True)
    return numbers


def _run(words: Sequence[str], asked: _Asked) -> str:
    """Run the command for one shot unless that was done; gives why it failed, or nothing."""
    if asked.still.is_file():
        return ""
    if asked.failed.is_file():
        return asked.failed.read_text(encoding="utf-8")
    out = asked.still.with_name(f"making-{asked.still.name}")
    out.unlink(missing_ok=True)
    try:
        ended = subprocess.run(
            [asked.fill(word, out) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    except OSError as error:
        why = f"cannot be run ({error.strerror})"
    else:
        said = ended.stderr.decode(errors="replace").strip().splitlines()
        why = _judge(ended.returncode, printable(said[-1]) if said else "", out)
    if not why:
        out.replace(asked.still)
        return ""
    out.unlink(missing_ok=True)
    failure = f"the command for shot {asked.place}, frame {asked.number}, {why}"
    outputs.write(asked.failed, failure.encode(), overwrite=True)
    return failure


def _judge(code: int, said: str, out: Path) -> str:
    """Why what a command did is no still; nothing where it is one."""
    if code:
        return f"ended with {code}" + (f": {said[:SAID]}" if said else "")
    if not out.is_file():
        return "wrote no picture to {out}"
    return "" if decode(out, short_side=64) is not None else "wrote what is no picture that can be read"
