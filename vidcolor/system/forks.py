"""Processes that are forked: the threads of libraries stay behind in the process before, and would be waited for."""

import ctypes
import os
from typing import Any
from weakref import WeakSet

_began_in: dict[str, int] = {}  # library -> process
_staying: "WeakSet[Any]" = WeakSet()


def prepare_torch() -> None:
    """To be called before torch computes: forked from where it has, it lost its threads and makes do with one."""
    import torch

    if _began_in.setdefault("torch", os.getpid()) != os.getpid():
        torch.set_num_threads(1)


def keep_alive(thing: Any) -> None:
    """Never let a forked process take this apart, not even at its end: that would wait for threads, for ever."""
    _staying.add(thing)


def _after_fork() -> None:
    for thing in list(_staying):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    _staying.clear()  # what this process makes itself is its own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
