"""Parameter types for files, models and recipes, with completion and suggestions for misspelled names."""

import errno
import os
import re
import shlex
import stat
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
from click.shell_completion import CompletionItem

from vidcolor import choices
from vidcolor.errors import ModelError, SourceError, UsageError, closest_name
from vidcolor.formats import MODELS

if TYPE_CHECKING:
    from click import ParamType as ParamType

    TextChoice = click.Choice[str]
else:
    TextChoice = click.Choice  # generic from click 8.2 on

    class ParamType(click.ParamType):
        """Base of parameter types. It is generic, as in ParamType[float], which click supports only from 8.4 on."""

        def __class_getitem__(cls, _: Any) -> type:
            return cls


T = TypeVar("T")
_LISTED = 5000  # files of a folder that are compared with a name
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PATTERN = "*?[%"  # characters of a name that stands for many files


class Choice(TextChoice):
    """One of some names. Raises click.BadParameter with the name that was probably meant."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Text -> the name."""
        if value not in self.choices:
            self.fail(choices.describe_unknown(str(value), self.choices), param, ctx)
        return str(value)


class Output(click.Path):
    """A file or folder to be written, as text or as a path. Raises UsageError for an address."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Text -> path."""
        if _is_address(str(value)):
            raise UsageError(f"{value}: is an address, and outputs are files. Name a file, and upload it afterwards.")
        return super().convert(value, param, ctx)


class Existing(click.Path):
    """An existing file or folder, or a pattern, which is expanded later."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, readable=False)  # checked here

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Text -> path. Raises SourceError with the nearest existing name."""
        if _is_address(str(value)):
            raise SourceError(f"{value}: is an address, and inputs are files. Download it first, and name the file.")
        path = Path(str(super().convert(value, param, ctx)))
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError, ValueError):
            if not any(sign in str(path) for sign in _PATTERN):
                self._tell_missing(path, param, ctx)
        except OSError as error:
            if error.errno != errno.EINVAL or not any(sign in str(path) for sign in _PATTERN):  # Windows, of a `*`
                raise SourceError(f"{path}: cannot be read: {error.strerror}. Check its permissions.") from error
        else:
            if not os.access(path, os.R_OK):
                raise SourceError(f"{path}: not allowed to read it. Check its permissions.")
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise UsageError(f"{path}: is no file; films and photos are read twice. Save it to a file first.")
        return path

    def _tell_missing(self, path: Path, param: click.Parameter | None, ctx: click.Context | None) -> NoReturn:
        """Raise a helpful error: an input that follows another one is often meant as the output."""
        given = ctx.obj if ctx is not None and isinstance(ctx.obj, list) else []
        before = given[: given.index(str(path))] if str(path) in given else []
        is_second = any(os.path.lexists(argument) for argument in before)
        has_output = any(argument.startswith(("-o", "--output")) for argument in given)
        if param is not None and param.name == "inputs" and is_second and not has_output:
            raise UsageError(f"{path}: is not there; to write it, say -o {shlex.quote(str(path))}.")
        if str(path) == "-":
            raise UsageError("-: films and photos are read twice, which a pipe cannot be. Save it to a file first.")
        raise SourceError(describe_missing(path))


def _is_address(text: str) -> bool:
    """Whether a text is an address on a network, such as https:// or s3://; drives of Windows have one letter."""
    return _ADDRESS.match(text) is not None


def describe_missing(path: Path, kind: str = "file or folder") -> str:
    """Describe a missing file, with the nearest existing name."""
    there = next((parent for parent in path.parents if os.path.isdir(parent)), Path())  # noqa: PTH112 - never raises
    wrong = path.relative_to(there).parts if there != Path() else path.parts
    found = _nearest_in(there, wrong[0]) if wrong else None
    if found is None:
        return f"{path}: no such {kind}. Check the spelling and the folder."
    whole = found.joinpath(*wrong[1:])
    return f"{path}: no such {kind}; did you mean {whole if os.access(whole, os.F_OK) else found}?"


def _nearest_in(folder: Path, name: str) -> Path | None:
    """Find the file with the nearest name: by stem, then by suffix."""
    try:
        names = [entry.name for entry in islice(folder.iterdir(), _LISTED)]
    except OSError:
        return None
    wanted = Path(name)
    by_stem: dict[str, list[str]] = {}
    for candidate in sorted(names):
        by_stem.setdefault(Path(candidate).stem, []).append(candidate)
    stem = closest_name(wanted.stem, by_stem)
    if stem is None:
        return None
    same = [candidate for candidate in by_stem[stem] if candidate.endswith(wanted.suffix)]
    return folder / (same or by_stem[stem])[0]


def _is_missing(path: Path) -> bool:
    """Whether there is no such file. Raises OSError where that cannot be seen."""
    try:
        return not path.exists()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return True
        raise


class ModelName(ParamType[str]):
    """A model's name, a model file, or a mixture of them; looked up by inference.mixing."""

    name = "model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """The value unchanged. Raises ModelError for a missing file, UsageError for a mixture that is none."""
        if _is_address(str(value)):
            raise ModelError(f"{value}: is an address, and models are files. Download it first, and name the file.")
        models = [str(value)]
        if "+" in str(value):
            from vidcolor.inference.mixing import parse

            models = [part.model for part in parse(str(value))]
        for path in map(Path, models):
            if (path.suffix.lower() in MODELS or path.parent != Path()) and _is_missing(path):
                raise ModelError(describe_missing(path, "model file"))
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """Complete names and files."""
        from vidcolor.inference import library, weights

        names = [*(path.stem for path in weights.packaged_models()), *library.names()]
        if "+" in incomplete:  # of a mixture the last part
            begun = incomplete[: incomplete.rindex("+") + 1]
            return complete_names(incomplete, [begun + name for name in names])
        return complete_names_and_files(incomplete, names)


class AddedName(ParamType[str]):
    """The name of a model that was added."""

    name = "name"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """Complete names."""
        from vidcolor.inference import library

        return complete_names(incomplete, library.names())


class RecipeName(ParamType[str]):
    """The name of a training recipe."""

    name = "recipe"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """The name of one that there is. Raises UsageError with the nearest one."""
        from vidcolor.training.recipes import find_recipe

        return find_recipe(str(value)).name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """Complete recipe names."""
        from vidcolor.training.recipes import RECIPES

        return complete_names(incomplete, RECIPES)


class WithCompletion(ParamType[T]):
    """Another type with values for completion."""

    def __init__(self, one: ParamType[T], hints: tuple[str, ...]) -> None:
        self._one, self._hints, self.name = one, hints, one.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """See the other type."""
        return self._one.convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """Complete the values."""
        return complete_names(incomplete, self._hints)


DEVICE = WithCompletion(click.STRING, choices.DEVICE_WORDS)
FILE = Output()  # text, completed as a file name


def complete_names(incomplete: str, names: Any) -> list[CompletionItem]:
    """Complete names that begin with `incomplete`."""
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_names_and_files(incomplete: str, names: Any) -> list[CompletionItem]:
    """Complete names and files. Bash keeps only items after a file item, and offers files if nothing else fits."""
    return [CompletionItem(incomplete, type="file"), *complete_names(incomplete, names)]
