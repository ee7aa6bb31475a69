"""The fuzzer runs, so that it cannot rot, and notices what it is there for."""

import random
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FUZZ = Path(__file__).parent.parent / "benchmarks" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    spec = spec_from_file_location("fuzz", FUZZ)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["fuzz"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fuzzer(fuzz: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("fuzz")
    return fuzz.Fuzzer(folder, folder / "faults", 1)


def test_mutations_are_of_their_seed(fuzz: ModuleType):
    def made(seed: int) -> list[bytes]:
        chance = random.Random(seed)
        return [fuzz.mutated(bytes(range(256)) * 8, [b"other" * 100], chance) for _ in range(50)]

    assert made(1) == made(1)
    assert made(1) != made(2)
    assert len(set(made(1))) > 45
    assert fuzz.mutated(b"", [b""], random.Random(1)) == b""


def test_trials_end_in_a_table(fuzzer: Any):
    chosen = {"_photos", "_archive", "_journal"}  # one command each
    for trial, _ in zip(fuzzer.trials(), range(8), strict=False):
        if trial.__name__ in chosen:
            trial()
    assert {name: kind.commands for name, kind in fuzzer.kinds.items()} == {
        "photos in a folder": 1, "archives": 1, "journals": 1,
    }  # fmt: skip
    assert not any(kind.faults for kind in fuzzer.kinds.values()), fuzzer.table()
    assert fuzzer.table().count("\n") == 4


def test_faults_are_noticed(fuzzer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    script = tmp_path / "bad.py"
    script.write_text(
        "import pathlib, sys; pathlib.Path('../outside/precious.jpg').write_text('x');"
        " pathlib.Path('.vidcolor-1.partial.jpg').write_text('x'); raise RuntimeError('unexpected')"
    )
    real = sys.executable
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec "{real}" "{script}"\n')
    (tmp_path / "python").chmod(0o755)
    fuzzer._emptied()
    fuzzer._run("bad", 1, "info")
    assert set(fuzzer.kinds["bad"].faults) == {"tracebacks", "unexpected", "files outside", "half-written"}
    (kept,) = (fuzzer._folder / "faults").iterdir()
    assert (kept / "command.txt").read_text().startswith("info\n")
