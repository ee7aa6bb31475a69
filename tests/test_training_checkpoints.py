"""The state of a run is gone on with whole, or refused with one line."""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from vidcolor.errors import TrainingError, UsageError
from vidcolor.training import checkpoint
from vidcolor.training.features import load_feature_network
from vidcolor.training.recipes import EARLIER_NAMES, RECIPES, Stage, override
from vidcolor.training.trainer import Trainer

RECIPE = replace(
    RECIPES["pix2pix"],
    generator_config={"width": 4, "depth": 5},
    stages=(Stage(32),),
    batch=2,
    steps=2,
    gan_loss="none",
)


@pytest.fixture(scope="module")
def state(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run of two steps."""
    path = tmp_path_factory.mktemp("run") / "state.pt"
    Trainer([photos], RECIPE).run(path)
    return path


def refused(photos: Path, path: Path) -> str:
    with pytest.raises(TrainingError, match=r"state\.pt: .*--no-resume") as refusal:
        Trainer([photos], replace(RECIPE, steps=4)).run(path)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_a_sound_state_is_gone_on_with(photos: Path, state: Path, tmp_path: Path):
    path = tmp_path / "state.pt"
    path.write_bytes(state.read_bytes())
    trainer = Trainer([photos], replace(RECIPE, steps=4))
    trainer.run(path)
    assert trainer.step == 4


def test_a_process_does_not_stop_before_all_others_know(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trainer, shared = Trainer([photos], replace(RECIPE, steps=6)), list[float]()
    maximum = trainer.processes.maximum

    def share(elapsed: float, stopping: float) -> list[float]:
        shared.append(stopping)
        return maximum(elapsed, stopping)

    def stop(facts: dict[str, Any]) -> None:  # after the processes have asked each other in this step
        trainer.is_stopping = trainer.is_stopping or facts["step"] == 2

    monkeypatch.setattr(trainer.processes, "maximum", share)
    monkeypatch.setattr(trainer.events, "step_finished", stop)
    with pytest.raises(TrainingError, match="stopped at step 3"):
        trainer.run(tmp_path / "state.pt")
    assert shared[-1]
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 3


def test_a_state_of_vidcolor_0_1_0_is_gone_on_with(photos: Path, tmp_path: Path):
    """Its recipes, and the discriminators at several scales, have names of their own."""
    path = tmp_path / "state.pt"
    recipe = replace(
        RECIPE, gan_loss="hinge", discriminator="multiscale", discriminator_config={"width": 4, "layers": 1},
        consistency=0.5, favor=(("*", 1.0),), aging=replace(RECIPE.aging, grain=0.5),
    )  # fmt: skip
    Trainer([photos], recipe).run(path)
    state = torch.load(path, weights_only=True)
    earlier = {now: then for then, now in EARLIER_NAMES.items()}
    state["recipe"] = {earlier.get(name, name): value for name, value in state["recipe"].items()}
    aging = state["recipe"]["ageing"]
    aging["stock"] = aging.pop("sensitivity")
    assert state["recipe"].keys() | aging.keys() > EARLIER_NAMES.keys()
    weights = state["players"]["discriminator"]
    renamed = {f"judges.{name.removeprefix('scales.')}": weights.pop(name) for name in list(weights)}
    state["players"]["discriminator"] = renamed
    torch.save(state, path)
    trainer = Trainer([photos], replace(recipe, steps=4))
    trainer.run(path)
    assert trainer.step == 4


def test_processes_that_found_different_states_do_not_begin(photos: Path, tmp_path: Path):
    trainer = Trainer([photos], RECIPE)
    trainer.processes.maximum = lambda *values: [max(value, 5) for value in values]  # another process is at step 5
    with pytest.raises(TrainingError, match=r"state\.pt: is not the same for all processes"):
        trainer.run(tmp_path / "state.pt")


def test_a_run_begins_again_where_it_may_not_resume(photos: Path, tmp_path: Path):
    Trainer([photos], RECIPE).run(tmp_path / "state.pt")
    again = Trainer([photos], RECIPE)
    again.run(tmp_path / "state.pt", resumes=False)
    assert again.before is not None
    assert again.before["step"] == 0


def test_settings_may_have_the_names_of_vidcolor_0_1_0():
    assert override(RECIPE, {"twins": "0.25", "ageing": '{"grain": 0.5}'}) == override(
        RECIPE, {"consistency": "0.25", "aging": '{"grain": 0.5}'}
    )


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_state_that_is_cut_off_is_refused(photos: Path, state: Path, tmp_path: Path, share: float):
    path = tmp_path / "state.pt"
    content = state.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(photos, path)


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no place": lambda state: state.pop("step"),
    "no number": lambda state: state.update(elapsed=float("nan")),
    "no networks": lambda state: state["players"].pop("average"),
    "other networks": lambda state: state["config"].update(width=8),
    "huge": lambda state: state["config"].update(width=10**9),
    "weights that are no numbers": lambda state: next(iter(state["players"]["generator"].values())).fill_(float("inf")),
    "large from little": lambda state: state["players"].update(
        generator={"down.0.0.weight": torch.zeros(1).expand(10**6, 10**6)}
    ),
    "losses of another kind": lambda state: state.update(epoch={"loss_G": 3}),
    "another optimizer": lambda state: state["players"].update(generator_optimizer={"state": {}}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_state_that_no_run_wrote_is_refused(photos: Path, state: Path, tmp_path: Path, change: str):
    held = torch.load(state, weights_only=True)
    CHANGES[change](held)
    torch.save(held, tmp_path / "state.pt")
    refused(photos, tmp_path / "state.pt")


def test_a_packed_state_is_refused_before_it_is_unpacked(photos: Path, state: Path, tmp_path: Path):
    path = tmp_path / "state.pt"
    with zipfile.ZipFile(state) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert "packed" in refused(photos, path)


def test_code_in_a_state_is_not_run(photos: Path, tmp_path: Path):
    class Runs:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"step": Runs()}, tmp_path / "state.pt")
    refused(photos, tmp_path / "state.pt")
    assert not (tmp_path / "ran").exists()


def test_a_state_that_cannot_be_written_is_one_line(tmp_path: Path):
    from vidcolor.errors import SinkError

    (tmp_path / "state.pt").mkdir()
    with pytest.raises(SinkError, match=r"state\.pt: cannot be written"):
        checkpoint.write(tmp_path / "state.pt", {"step": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999"])
def test_a_recipe_has_no_numbers_that_are_none(value: str):
    with pytest.raises(UsageError, match="learning_rate"):
        override(RECIPES["default"], {"learning_rate": value})


def test_a_size_that_no_model_file_may_state_is_refused_before_training(photos: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="size 5000"):
        Trainer([photos], replace(RECIPE, size=5000)).run(tmp_path / "state.pt")


def test_weights_that_are_not_vgg19s_are_refused(tmp_path: Path):
    (tmp_path / "vgg.pth").write_bytes(b"no weights")
    with pytest.raises(UsageError, match=r"vgg\.pth: not VGG19's weights"):
        load_feature_network("vgg19", tmp_path / "vgg.pth", torch.device("cpu"))
