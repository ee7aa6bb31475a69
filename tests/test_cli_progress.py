"""Events of a running job: every observer is told of each, and files are counted alike by all."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from vidcolor.cli.progress import Observer, Tally, make_observer
from vidcolor.cli.progress.broadcast import Broadcast
from vidcolor.cli.progress.json_lines import JsonLines
from vidcolor.cli.progress.live import LiveBars
from vidcolor.cli.progress.log_lines import LogLines
from vidcolor.cli.progress.plain import PlainLines, QuietLines

EVENTS = [name for name, _ in inspect.getmembers(Observer, inspect.isfunction) if not name.startswith("_")]


def arguments(event: str) -> tuple[list[str], dict[str, Any]]:
    """Something for every parameter of an event."""
    args: list[str] = []
    named: dict[str, Any] = {}
    for parameter in list(inspect.signature(getattr(Observer, event)).parameters.values())[1:]:
        match parameter.kind:
            case inspect.Parameter.KEYWORD_ONLY:
                named[parameter.name] = True
            case inspect.Parameter.VAR_KEYWORD:
                named |= {"input": "a", "output": "b"}
            case _:
                args.append(parameter.name)
    return args, named


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_reaches_every_observer_in_order_and_whole(event: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    first, second = Observer(), Observer()

    def hear(one: str) -> Callable[..., None]:
        return lambda *args, **named: told.append((one, list(args), named))

    monkeypatch.setattr(first, event, hear("first"))
    monkeypatch.setattr(second, event, hear("second"))
    args, named = arguments(event)
    getattr(Broadcast(first, second), event)(*args, **named)
    assert told == [("first", args, named), ("second", args, named)]


def test_terminals_are_given_back_from_the_last() -> None:
    closed: list[str] = []

    class Closing(Observer):
        def __init__(self, name: str) -> None:
            self.name = name

        def __exit__(self, *_: object) -> None:
            closed.append(self.name)

    with pytest.raises(ZeroDivisionError), Broadcast(Closing("log"), Closing("shown")):
        raise ZeroDivisionError
    assert closed == ["shown", "log"]


@pytest.mark.parametrize("kind", [JsonLines, LiveBars, LogLines, PlainLines, QuietLines])
def test_observers_override_events_and_have_none_of_their_own(kind: type[Observer]) -> None:
    own = {name for one in kind.__mro__[:-1] if one is not Observer for name in vars(one) if not name.startswith("_")}
    assert own - {"tell"} <= set(EVENTS)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"as_json": True, "quiet": True}, JsonLines),
        ({"as_json": False, "quiet": True}, QuietLines),
        ({"as_json": False, "quiet": False, "is_terminal": False}, PlainLines),
        ({"as_json": False, "quiet": False, "is_terminal": True}, LiveBars),
    ],
)
def test_options_and_the_terminal_choose_the_renderer(options: dict[str, bool], kind: type[Observer]) -> None:
    made: list[Observer] = []

    class Noting(Broadcast):
        def __init__(self, *observers: Observer) -> None:
            made.extend(observers)
            super().__init__(*observers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vidcolor.cli.progress.Broadcast", Noting)
        make_observer(**options)
    assert [type(one) for one in made] == [LogLines, kind]


def test_files_of_an_earlier_run_count_as_done_and_as_nothing_else() -> None:
    tally = Tally(5)
    for outcome, was_done, is_damaged in (
        ("colored", False, False), ("colored", False, True), ("failed", False, False), ("kept", True, True),
    ):  # fmt: skip
        tally.add(outcome, was_done=was_done, is_damaged=is_damaged)
    assert tally.done == 4
    assert tally.rows() == [(2, "colored"), (1, "failed"), (1, "done before"), (1, "of the films damaged")]
    assert tally.seconds_left is not None
