"""Limits of memory and threads: recognize libraries' errors, explain them in one line, and avoid them."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_MEMORY = ("bad_alloc", "failed to map segment", "cannot allocate memory", "can't allocate memory", "not enough memory")
_THREADS = ("can't start new thread", "resource temporarily unavailable", "thread creation failed")
_FEW_THREADS = 256  # allowed to this user; below this, library threads are limited


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error or its cause means too little memory."""
    return any(
        isinstance(each, MemoryError)
        or getattr(each, "errno", None) == errno.ENOMEM
        or any(words in str(each).lower() for words in _MEMORY)
        for each in _causes(error)
    )


def is_out_of_threads(error: BaseException) -> bool:
    """Whether an error or its cause means too few threads or processes."""
    return any(words in str(each).lower() for each in _causes(error) for words in _THREADS)


def explain(error: BaseException) -> str | None:
    """Explain what was missing and what to try; None for other errors."""
    if is_out_of_memory(error):
        return "the system gave this process no more memory. Allow it more (ulimit -v, or the container's limit)."
    if is_out_of_threads(error):
        return "the system gave this process no more threads. Allow it more (ulimit -u, or the container's pids)."
    return None


def limit_library_threads() -> None:
    """Limit the libraries of NumPy and torch to one thread where few threads or little memory are allowed.

    OpenBLAS allocates threads and memory when it is loaded, and aborts the program if that fails.
    """
    if sys.platform == "win32":
        return
    import resource

    space, count = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_NPROC))
    if space != resource.RLIM_INFINITY or (count != resource.RLIM_INFINITY and count < _FEW_THREADS):
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def count_processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int | None:
    """Bytes of memory that this process could take; None where the system does not tell."""
    found = [*_free_of_system(), *_free_of_group()]
    return min(found) if found else None


def _free_of_system() -> Iterator[int]:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) << 10


def _free_of_group() -> Iterator[int]:
    """What a container's limit leaves (cgroup 2)."""
    with suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        yield max(0, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
