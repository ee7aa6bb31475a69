"""What options may be stands in one table: the command line offers it, and the library does and refuses by it."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from vidcolor import choices
from vidcolor.cli import colorize, completion, evaluate, export
from vidcolor.errors import UsageError
from vidcolor.evaluation import learned_metrics, stocks
from vidcolor.films.job import FilmOptions
from vidcolor.inference import export as inference_export
from vidcolor.inference.backends import resolve_backend
from vidcolor.media import encoders, hw_encoders
from vidcolor.stills.page import StillSettings


def offered(command: Any) -> dict[str, tuple[str, ...]]:
    return {option.name: tuple(option.type.choices) for option in command.params if hasattr(option.type, "choices")}


def test_the_command_line_offers_the_table() -> None:
    assert offered(colorize.command) == {
        "precision": choices.PRECISIONS,
        "steady": choices.STEADY_MODES,
        "codec": choices.CODECS,
        "encoder": choices.ENCODERS,
        "hwaccel": choices.HWACCELS,
        "convert_audio": choices.LOSSY_AUDIO,
        "others": choices.OTHERS,
        "subsampling": choices.SUBSAMPLINGS,
    }
    assert offered(evaluate.command) == {
        "precision": choices.PRECISIONS,
        "steadying": choices.EVALUATED_STEADY_MODES,
        "references": choices.TRUE_STILLS,
        "metrics": choices.METRICS,
        "stocks": choices.STOCKS,
    }
    assert offered(export.command) == {"form": choices.EXPORT_FORMS, "precision": choices.EXPORT_PRECISIONS}
    assert offered(completion.command) == {"shell": choices.SHELLS}


def test_what_is_offered_is_there() -> None:
    assert tuple(encoders._ENCODERS) == choices.CODECS
    assert tuple(stocks.STOCKS) == choices.STOCKS
    assert tuple(learned_metrics.REQUIRED_PACKAGES) == choices.LEARNED_METRICS
    assert tuple(inference_export.MAX_DIFFERENCES) == choices.EXPORT_PRECISIONS
    assert {*choices.STEADY_MODES} == {"off", "shot", *get_args(choices.AveragingMode)}
    assert {*choices.STEADY_MODES} <= {*choices.EVALUATED_STEADY_MODES}
    assert {*choices.HW_CODECS} <= {*choices.CODECS}
    for table in (hw_encoders._NVENC_PRESETS, hw_encoders._QSV_PRESETS, hw_encoders._AMF_PRESETS):
        assert len(table) == len(choices.PRESETS)


def test_what_is_not_offered_is_refused_with_the_table() -> None:
    for values, refused in (
        (choices.SUBSAMPLINGS, lambda: StillSettings(subsampling="4:1:1")),
        (choices.STEADY_MODES, lambda: FilmOptions(steady="firm")),  # type: ignore[arg-type]
        (choices.PRECISIONS, lambda: resolve_backend("cpu", "fp8")),
        (
            choices.EXPORT_PRECISIONS,
            lambda: inference_export.export(Path("a"), Path("b.onnx"), form="onnx", precision="bf16"),
        ),
    ):
        with pytest.raises(UsageError, match=", ".join(values)):
            refused()


def test_the_table_is_light_to_import() -> None:
    script = "import sys, vidcolor.choices; print(*{'torch', 'av', 'numpy', 'click', 'PIL'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert not done.stdout.strip()


def literals(path: Path) -> Iterator[set[str]]:
    """What a file lists: the words of its tuples, lists, sets and Literals."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            words = [part.value for part in node.elts if isinstance(part, ast.Constant)]
            if len(words) == len(node.elts):
                yield {word for word in words if isinstance(word, str)}


def test_no_module_has_a_list_of_its_own() -> None:
    listed = [set(table) for name, table in vars(choices).items() if name.isupper()]
    tables = [table for table in listed if len(table) > 1]
    package = Path(choices.__file__).parent
    for path in package.rglob("*.py"):
        for words in literals(path):
            if path.name != "choices.py":
                assert words not in tables, f"{path}: {words} is in choices.py"
            if path.name != "formats.py":
                suffixes = [word for word in words if re.fullmatch(r"\.[a-z0-9]{1,9}", word)]
                assert len(suffixes) < 2, f"{path}: {suffixes} belong in formats.py"
