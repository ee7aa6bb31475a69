"""The connection to a Ray cluster, for as long as a command runs."""

import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from vidcolor.errors import DeviceError, UsageError

ANSWER_SECONDS = 5.0  # to wait for a cluster's port


def check_installed() -> None:
    """Raise DeviceError where Ray is missing."""
    if find_spec("ray") is None:
        raise DeviceError("--cluster needs Ray, which is not installed. Say: pip install 'vidcolor[cluster]'.")


@contextmanager
def connect(address: str) -> Iterator[None]:
    """Connect to the cluster at HOST:PORT; auto: to the one that this machine belongs to, or start one here.

    Raises DeviceError where no cluster answers or Ray is not installed, UsageError for an invalid address.
    """
    check_installed()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that is started here calls nobody
    if address != "auto":
        _check_answers(address)
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=None if address == "auto" else address, log_to_driver=False, logging_level="CRITICAL",
            include_dashboard=False,
        )  # fmt: skip
    except (OSError, RuntimeError, ValueError) as error:
        raise DeviceError(
            f"--cluster {address}: {first_line(error)}. Where the cluster asks for Ray's token, set"
            " RAY_AUTH_MODE=token; on a machine of the cluster say auto."
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray sets its own, by which exit codes would change
    try:
        with _silence(ray):
            yield
    finally:
        ray.shutdown()


@contextmanager
def _silence(ray: Any) -> Iterator[None]:
    """Keep Ray from printing lost machines on stdout, which --json needs for itself; Ray has no option for that."""
    worker: Any = getattr(getattr(ray, "_private", None), "worker", None)
    shown = getattr(worker, "print_to_stdstream", None)
    if shown is None:
        yield
        return
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = shown


def _check_answers(address: str) -> None:
    """Check that the port answers: Ray itself would try for minutes, then end the process.

    Raises UsageError, DeviceError.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", port):
        raise UsageError(f"--cluster {address}: needs HOST:PORT, as `ray start --head` shows it, or auto.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise DeviceError(
            f"--cluster {address}: nothing answers there ({error}). Start one with `ray start --head`, or say auto."
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's message, which Ray makes long."""
    return (str(error).splitlines() or [""])[0] or type(error).__name__
