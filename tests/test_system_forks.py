"""A process that forks: what was loaded before says at once that it stayed behind; nothing waits for ever."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")

SCRIPT = """
import os, signal, sys, warnings
import numpy as np
import vidcolor

warnings.simplefilter("ignore")
model, precision = sys.argv[1:]
if precision == "fp16":
    import torch

    torch.set_num_threads(2)
gray = np.full((300, 300), 100, np.uint8)
colorizer = vidcolor.Colorizer(model, device="cpu", precision=precision)
before = colorizer.colorize_array(gray)


def close():
    with colorizer:
        pass


def again():
    with vidcolor.Colorizer(model, device="cpu", precision=precision) as another:
        assert np.array_equal(another.colorize_array(gray), before)


def say(what, doing):
    try:
        doing()
        print(what, "done", flush=True)
    except vidcolor.VidcolorError as error:
        print(what, error, flush=True)


doings = {
    "use": lambda: colorizer.colorize_array(gray),
    "frames": lambda: list(colorizer.rgb_frames([gray] * 3)),
    "close": close,
    "another": again,
    "nothing": lambda: None,
}
for what, doing in doings.items():
    child = os.fork()
    if not child:
        signal.alarm(30)
        say(what, doing)
        sys.exit()
    _, status = os.waitpid(child, 0)
    print("ended", status, flush=True)
say("here", lambda: colorizer.colorize_array(gray))
"""

TOLD = {"use": "forked", "frames": "forked", "close": "done", "another": "done", "nothing": "done", "here": "done"}


@pytest.mark.parametrize("precision", ["fp32", "fp16"], ids=["openvino", "torch"])
def test_a_forked_process_is_told_at_once_and_ends(tiny_model: Path, precision: str):
    command = [sys.executable, "-c", SCRIPT, str(tiny_model), precision]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=280)
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("ended")] == ["ended 0"] * 5
    told = dict(line.split(" ", 1) for line in lines if not line.startswith("ended"))
    assert told.keys() == TOLD.keys()
    assert all(TOLD[what] in line for what, line in told.items())
