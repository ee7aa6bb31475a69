"""Safety in forked processes, where libraries would wait forever for threads that the fork did not copy."""

import ctypes
import os
from typing import Any
from weakref import WeakSet

_first_used_in: dict[str, int] = {}  # library -> id of the process that first used it
_kept_alive: "WeakSet[Any]" = WeakSet()


def prepare_torch() -> None:
    """Call before torch computes: in a fork of a process that has used torch, limit it to one thread."""
    import torch

    if _first_used_in.setdefault("torch", os.getpid()) != os.getpid():
        torch.set_num_threads(1)


def keep_alive(resource: Any) -> None:
    """Never destroy an object in a forked process, where its destructor would wait forever for threads."""
    _kept_alive.add(resource)


def _after_fork() -> None:
    for thing in list(_kept_alive):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    _kept_alive.clear()  # objects made in this process may be destroyed in it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
