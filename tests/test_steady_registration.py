"""A still that an editor moved, cropped, zoomed or repainted is laid on the film's frame; another picture is not."""

import cv2
import numpy as np
import pytest
import skimage.data

from vidcolor.color import picture_to_lab
from vidcolor.steady.registration import register

FRAME = skimage.data.astronaut()[60:420]
HEIGHT, WIDTH = FRAME.shape[:2]


def lab(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lightness, a, b = picture_to_lab(np.ascontiguousarray(rgb))
    return np.asarray(lightness, np.float32), np.stack([a, b]).astype(np.float32)


def turned(degrees: float, zoom: float) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), degrees, zoom)
    return np.asarray(cv2.warpAffine(FRAME, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE))


MOVED = {
    "as it is": FRAME,
    "shifted by a few pixels": np.roll(FRAME, (4, -3), (0, 1)),
    "shifted far": np.pad(FRAME, ((0, 0), (30, 0), (0, 0)), mode="edge")[:, :WIDTH],
    "cropped": FRAME[18:-18, 25:-25],
    "of another size and shape": cv2.resize(FRAME[10:-20, 30:-10], (1024, 1024)),
    "zoomed out": cv2.copyMakeBorder(FRAME, 20, 20, 20, 20, cv2.BORDER_REPLICATE),
    "turned and zoomed": turned(2, 1.03),
}


@pytest.mark.parametrize("how", MOVED)
def test_a_still_is_laid_on_its_frame(how: str) -> None:
    (still, colors), (frame, truth) = lab(MOVED[how]), lab(FRAME)
    found = register(still, frame)
    assert found.shows_the_frame
    laid = found.apply(colors, frame.shape)
    covered = found.coverage(still.shape, frame.shape) > 0.9
    assert covered.mean() > 0.75
    assert np.hypot(*(laid - truth))[covered].mean() < 2.5


def test_what_was_repainted_is_still_the_frame() -> None:
    painted = np.roll(FRAME, (5, -7), (0, 1)).copy()
    painted[150:300, 100:300] = (painted[150:300, 100:300] * 0.4 + (80, 0, 0)).astype(np.uint8)
    (still, colors), (frame, _) = lab(painted), lab(FRAME)
    found = register(still, frame)
    assert found.shows_the_frame
    laid = found.apply(colors, frame.shape)
    wanted = colors[:, 225, 200]
    assert np.hypot(*(laid[:, 220, 207] - wanted)) < 12
    center = found.map_23 @ np.array([0.5, 0.5, 1])
    assert center * (WIDTH, HEIGHT) == pytest.approx((WIDTH / 2 - 7, HEIGHT / 2 + 5), abs=1.5)


def test_edges_tell_whatever_was_done_to_lightness() -> None:
    frame = lab(FRAME)[0]
    for changed in (np.clip(FRAME * 1.4 - 30, 0, 255), FRAME * 0.5 + 60):
        assert register(lab(changed.astype(np.uint8))[0], frame).shows_the_frame


@pytest.mark.parametrize("other", [skimage.data.coffee(), np.full((360, 512, 3), 120, np.uint8)])
def test_another_picture_is_not_the_frame(other: np.ndarray) -> None:
    assert not register(lab(other)[0], lab(FRAME)[0]).shows_the_frame
