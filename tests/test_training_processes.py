"""Two processes with batches of B learn what one does with a batch of 2 x B."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

# Batch normalization sees each process's own part, so that here it is held still: the rest must be equal.
DRIVER = """
import dataclasses, sys
from pathlib import Path
import torch
from vidcolor.training.recipes import RECIPES, Stage
from vidcolor.training.trainer import Trainer

photos, folder, batch = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
recipe = dataclasses.replace(
    RECIPES["wgan-gp"], generator_config={"width": 4, "depth": 2}, stages=(Stage(32),), batch=batch, steps=4,
    epochs=None, discriminator_config={"norm": "none", "width": 4, "layers": 2}, gradient_penalty=0.0, gan_loss="hinge",
    critic_steps=1, optimizer="adamw",
)
trainer = Trainer([photos], recipe)
make = trainer._build
def without_batch_norm(*arguments):
    make(*arguments)
    trainer.generator.eval().train = lambda _=True: trainer.generator
trainer._build = without_batch_norm
losses, step = [], trainer._train_step
trainer._train_step = lambda rgb: losses.append(trainer.processes.mean(found := step(rgb))) or found
trainer.run(folder / "state.pt")
if trainer.processes.is_first:
    torch.save({"weights": trainer.generator.state_dict(), "losses": losses, "images": trainer.images}, folder / "out")
trainer.processes.leave()
"""


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def run(photos: Path, folder: Path, batch: int, count: int) -> dict[str, object]:
    """The driver in so many processes; what the first one saw."""
    folder.mkdir()
    common = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "WORLD_SIZE": str(count)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", DRIVER, photos, folder, str(batch)], env=common | {"RANK": str(rank)},
            stderr=subprocess.PIPE, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip
    try:
        for process in reversed(started):  # the first one waits for the others, so one that failed is seen
            _, told = process.communicate(timeout=240)
            assert process.returncode == 0, told
    finally:
        for process in started:
            process.kill()
    return torch.load(folder / "out", weights_only=True)


def test_two_processes_equal_one_with_the_doubled_batch(photos: Path, tmp_path: Path):
    one, two = run(photos, tmp_path / "one", 4, 1), run(photos, tmp_path / "two", 2, 2)
    assert one["images"] == two["images"] == 16
    for alone, together in zip(one["losses"], two["losses"], strict=True):
        assert together == pytest.approx(alone, rel=1e-3)
    for name, value in one["weights"].items():
        assert torch.allclose(value, two["weights"][name], atol=2e-4), name


def test_the_command_runs_under_torchrun(photos: Path, tmp_path: Path):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port(), "-m",
        "vidcolor", "train", photos, "-o", tmp_path / "mine.safetensors", "--recipe", "pix2pix", "--steps", "3",
        "--batch-size", "2", "--threads", "1", "--run-folder", tmp_path / "run", "--set",
        'generator_config={"width": 4, "depth": 5}', "--set", 'stages=[{"crop": 32}]', "--set",
        'discriminator_config={"width": 4, "layers": 1}', "--device", "cpu",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [entry["event"] for entry in log] == [
        "beginning",
        *["steps"] * 3,
        "epoch",
        "end",
    ]  # one of the two has written
    assert log[-1]["images"] == 12
    assert (tmp_path / "mine.safetensors").is_file()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_told_to_end_saves_and_goes_on(number: int, code: int, photos: Path, tmp_path: Path):
    command = [
        sys.executable, "-m", "vidcolor", "train", photos, "-o", tmp_path / "mine.safetensors", "--recipe", "fcn-l2",
        "--batch-size", "2", "--threads", "1", "--run-folder", tmp_path / "run", "--device", "cpu", "--json", "--set",
        'generator_config={"width": 4, "depth": 5, "outputs": 3}', "--set", 'stages=[{"crop": 32}]',
    ]  # fmt: skip
    run = subprocess.Popen([*command, "--steps", "100000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while '"steps"' not in run.stdout.readline():
        assert run.poll() is None, run.stderr.read()
    run.send_signal(number)
    _, told = run.communicate(timeout=60)
    assert run.returncode == code
    assert "saving after this step; once more ends without" in told
    assert "the same command resumes there" in told
    assert not (tmp_path / "mine.safetensors").exists()
    stopped = torch.load(tmp_path / "run" / "state.pt", weights_only=True)["step"]
    done = subprocess.run([*command, "--steps", str(stopped + 3)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "done"
    assert events[-1]["images"] == 2 * (stopped + 3)
    assert next(event["step"] for event in events if event["event"] == "resumed") == stopped
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    kinds = [entry["event"] for entry in log]
    assert kinds[0] == "beginning"
    assert kinds[-2:] == ["epoch", "end"]
    assert set(kinds[1:-2]) <= {"steps", "epoch"}  # a machine may end epochs before the run is told
    assert [entry["step"] for entry in log] == sorted(entry["step"] for entry in log)
    ended = [entry["step"] for entry in log if entry["event"] == "epoch"]
    assert len(ended) == len(set(ended))  # none is told again after resuming


def test_every_process_stops_and_the_first_saves(photos: Path, tmp_path: Path):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port(),
        "-m", "vidcolor", "train", photos, "-o", tmp_path / "mine.safetensors", "--recipe", "fcn-l2", "--json",
        "--batch-size", "2", "--threads", "1", "--run-folder", tmp_path / "run", "--device", "cpu", "--set",
        'generator_config={"width": 4, "depth": 5, "outputs": 3}', "--set", 'stages=[{"crop": 32}]',
        "--steps", "100000",
    ]  # fmt: skip
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while '"steps"' not in run.stdout.readline():
        assert run.poll() is None, run.stderr.read()
    run.send_signal(signal.SIGTERM)
    _, told = run.communicate(timeout=90)
    assert told.count("the same command resumes there") == 1
    assert torch.load(tmp_path / "run" / "state.pt", weights_only=True)["step"] > 0
