"""Stages overlap, keep order, lose nothing and give up together."""

import threading
import time
from collections.abc import Iterator

import pytest

from vidcolor.overlap import prefetch


def test_ahead_gives_the_same_items_in_order():
    assert list(prefetch(iter(range(100)), 3)) == list(range(100))


def test_ahead_runs_no_further_than_its_depth():
    made = []

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    running = prefetch(items(), 4)
    next(running)
    time.sleep(0.3)
    assert len(made) <= 4 + 2  # those that wait, the one in hand, the one taken
    running.close()


def test_an_error_surfaces_after_the_items_before_it():
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("broken")

    running = prefetch(items(), 4)
    assert [next(running), next(running)] == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        next(running)


def test_stopping_early_ends_every_thread_and_closes_every_stage():
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.append(True)

    before = set(threading.enumerate())
    running = prefetch(prefetch(items(), 2), 2)
    next(running)
    begun = [thread for thread in set(threading.enumerate()) - before if thread.name == "vidcolor-ahead"]
    assert len(begun) == 2
    running.close()
    for thread in begun:
        thread.join(10)
    assert not any(thread.is_alive() for thread in begun)
    assert closed == [True]
