"""Installed packages, and whether they can be imported: metadata can be present when files are broken."""

import io
import json
import subprocess
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _stated
from importlib.util import find_spec

_TIMEOUT_SECONDS = 120.0
_IMPORT_SCRIPT = """
import importlib, json, os, sys, warnings
told = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # some packages print while they are imported
warnings.simplefilter("ignore")
for module in sys.argv[1:]:
    try:
        problem = "" if getattr(importlib.import_module(module), "__file__", None) else "its files are gone"
    except Exception as error:
        problem = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    print(json.dumps([module, problem]), file=told, flush=True)
"""


def version(distribution: str) -> str:
    """Version of a distribution; empty if it is not installed."""
    try:
        return _stated(distribution)
    except PackageNotFoundError:
        return ""


def import_problem(module: str) -> str:
    """Import a module; returns why that failed, or an empty text."""
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            imported = import_module(module)
    except Exception as error:  # a broken package can raise anything
        return " ".join(f"{type(error).__name__}: {error}".split())[:200]
    # An empty leftover folder counts as a namespace package.
    return "" if getattr(imported, "__file__", None) else "its files are gone"


def import_problems(modules: Sequence[str]) -> dict[str, str]:
    """Import optional modules in a separate process; returns why each failed, or an empty text.

    A crash must not end this process, and pillow-heif loads an x265 after which FFmpeg writes no HEVC.
    """
    left = [module for module in modules if find_spec(module)]
    found = {module: "not installed" for module in modules if module not in left}
    while left:
        command = [sys.executable, "-P", "-c", _IMPORT_SCRIPT, *left]
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                timeout=_TIMEOUT_SECONDS, check=False,
            )  # fmt: skip
            told, end = done.stdout, f"ends the process, code {done.returncode}"
        except subprocess.TimeoutExpired as error:
            told, end = error.stdout or b"", f"takes more than {_TIMEOUT_SECONDS:g} seconds"
        found |= dict(json.loads(line) for line in told.splitlines())
        left = [module for module in left if module not in found]
        if left:
            found[left.pop(0)] = end
    return found
