"""Files, models and recipes as people name them on the command line: completed, and looked for where they are not."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from vidcolor.errors import ModelError, SourceError, UsageError, like

if TYPE_CHECKING:
    from click import ParamType as ParamType
else:

    class ParamType(click.ParamType):
        """What options are read by. It names its result, ParamType[float], which click knows only from 8.4 on."""

        def __class_getitem__(cls, _: Any) -> type:
            return cls


T = TypeVar("T")
_LISTED = 5000  # of a folder's files that are compared with a name
_PATTERN = "*?[%"  # signs of a name that stands for many files


class Existing(click.Path):
    """A file or folder that is there, or a pattern of several, which is looked up later."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Text -> path. Raises SourceError with the nearest name that is there."""
        path = Path(str(super().convert(value, param, ctx)))
        if not path.exists() and not any(sign in str(path) for sign in _PATTERN):
            raise SourceError(missing(path))
        return path


def missing(path: Path, kind: str = "file or folder") -> str:
    """What to say of a file that is not there."""
    there = next((parent for parent in path.parents if parent.is_dir()), Path())
    wrong = path.relative_to(there).parts if there != Path() else path.parts
    found = _nearest_in(there, wrong[0]) if wrong else None
    if found is None:
        return f"{path}: no such {kind}. Check the spelling and the folder."
    whole = found.joinpath(*wrong[1:])
    return f"{path}: no such {kind}; did you mean {whole if whole.exists() else found}?"


def _nearest_in(folder: Path, name: str) -> Path | None:
    """The file whose name is most like it: by the stem, then by the suffix."""
    try:
        names = [entry.name for entry in islice(folder.iterdir(), _LISTED)]
    except OSError:
        return None
    wanted = Path(name)
    by_stem: dict[str, list[str]] = {}
    for candidate in sorted(names):
        by_stem.setdefault(Path(candidate).stem, []).append(candidate)
    stem = like(wanted.stem, by_stem)
    if stem is None:
        return None
    same = [candidate for candidate in by_stem[stem] if candidate.endswith(wanted.suffix)]
    return folder / (same or by_stem[stem])[0]


class ModelName(ParamType[str]):
    """A packaged model's name, or a model file; looked up by weights.find."""

    name = "model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """As it is. Raises ModelError where it names a file that is not there."""
        path = Path(value)
        if (path.suffix == ".safetensors" or path.parent != Path()) and not path.exists():
            raise ModelError(missing(path, "model file"))
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """The packaged names, and files."""
        from vidcolor import weights

        return with_files(incomplete, [path.stem for path in weights.packaged()])


class RecipeName(ParamType[str]):
    """The name of a training recipe."""

    name = "recipe"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        """Raises UsageError with the nearest name that there is."""
        from vidcolor.training.recipes import RECIPES

        if value not in RECIPES and (near := like(str(value), RECIPES)):
            raise UsageError(f"recipe {value!r} is unknown; did you mean {near}? There is {', '.join(RECIPES)}.")
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """The names."""
        from vidcolor.training.recipes import RECIPES

        return beginning(incomplete, RECIPES)


class Hinted(ParamType[T]):
    """Another type, with values to complete."""

    def __init__(self, one: ParamType[T], hints: tuple[str, ...]) -> None:
        self._one, self._hints, self.name = one, hints, one.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """As the other type has it."""
        return self._one.convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """The hints."""
        return beginning(incomplete, self._hints)


DEVICE = Hinted(click.STRING, ("auto", "all", "cpu", "cuda:0"))
FILE = click.Path()  # a text that is completed as a file's name


def beginning(incomplete: str, names: Any) -> list[CompletionItem]:
    """Those of the names that begin with what is there."""
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def with_files(incomplete: str, names: Any) -> list[CompletionItem]:
    """The same, and files. Bash forgets what comes before files, and shows them where nothing else fits."""
    return [CompletionItem(incomplete, type="file"), *beginning(incomplete, names)]
