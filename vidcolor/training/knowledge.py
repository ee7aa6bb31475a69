"""Simulated knowledge: what people, stills and earlier frames tell a generator of a picture's colors.

Points, strokes and regions are of the truth and fully sure, as a person's are, and some objects are said to have
another color than their own. Copies of the whole picture are shifted, bent, noisy and wrong in places, as those that
matching and motion bring, and their sureness is honest: on average the share that is right.
Shapes: B batch, h w positions of a*b*.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_POINTS = 120
KINDS = {"points": 0.3, "strokes": 0.1, "regions": 0.1, "copy": 0.25, "object": 0.25}  # shares of the pictures
THICK = 0.3  # share of the points and strokes that are three positions wide
MAX_SHAPES = 4  # strokes or regions
BEND = 2.5  # positions: standard deviation of how far a copy is shifted, and bent
NOISE = 4.0  # a*b*: greatest standard deviation of a copy's noise
MAX_WRONG = 0.4  # greatest share of a copy that shows something else
SURE_RIGHT, SURE_WRONG = (0.4, 1.0), (0.0, 0.5)  # ranges of sureness
OBJECT_COLOR, OBJECT_LIGHTNESS = 10.0, 18.0  # a*b* and L* that an object's places differ by at most
OBJECT_SHARES = 0.01, 0.5  # of a picture
RECOLORED = 10.0, 60.0  # a*b*: how far an object's color is moved
OBJECT_POINTS, OTHER_POINTS = 6, 12  # at most: on the object, and of the rest


def simulate_knowledge(ab_B2hw: Tensor, lightness_B1hw: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Simulate what is known of each picture: its true a*b* then, and what is known, a*b* and how sure, (B, 3, h, w).

    ab, lightness: the picture's own; one of its objects may get another color.
    """
    truth, known = ab_B2hw.cpu().clone(), []
    kinds = torch.multinomial(torch.tensor(list(KINDS.values())), len(truth), replacement=True, generator=random)
    makers = {"points": _points, "strokes": _strokes, "regions": _regions}
    for index, kind in enumerate(kinds.tolist()):
        name = list(KINDS)[kind]
        if name == "copy":
            known.append(_copy(truth[index], truth[(index + 1) % len(truth)], random))
        elif name == "object":
            truth[index], told = _object(truth[index], lightness_B1hw[index, 0].cpu(), random)
            known.append(told)
        else:
            known.append(makers[name](truth[index], random))
    return truth.to(ab_B2hw.device), torch.stack(known).to(ab_B2hw.device)


def _object(ab_2hw: Tensor, lightness_hw: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """One object in another color than its own, as a person may want it, and a few points that say so.

    An object is a connected part of alike color and lightness.
    """
    h, w = lightness_hw.shape
    row, column = _whole(h, random), _whole(w, random)
    near = (ab_2hw - ab_2hw[:, row, column, None, None]).norm(dim=0) < OBJECT_COLOR
    near &= (lightness_hw - lightness_hw[row, column]).abs() < OBJECT_LIGHTNESS
    inside = _connected(near, row, column)
    share = float(inside.float().mean())
    if not OBJECT_SHARES[0] <= share <= OBJECT_SHARES[1]:
        return ab_2hw, _points(ab_2hw, random)
    angle, length = _uniform(0, 2 * math.pi, random), _uniform(*RECOLORED, random)
    edge = F.avg_pool2d(inside.float()[None], 3, 1, 1, count_include_pad=False)[0]
    moved = ab_2hw + length * edge * torch.tensor([math.cos(angle), math.sin(angle)])[:, None, None]
    mask = torch.zeros(h * w)
    for places, most, least in ((inside & (edge == 1), OBJECT_POINTS, 1), (~inside & (edge == 0), OTHER_POINTS, 0)):
        chosen = places.flatten().nonzero()[:, 0]
        count = min(len(chosen), least + _whole(most, random))
        mask[chosen[torch.randperm(len(chosen), generator=random)[:count]]] = 1
    return moved, _told(moved, mask.view(h, w), random)


def _connected(mask_hw: Tensor, row: int, column: int) -> Tensor:
    """The part of a mask that is connected with a place of it."""
    mask, part = mask_hw.float()[None], torch.zeros(1, *mask_hw.shape)
    part[0, row, column] = 1
    while True:
        grown = F.max_pool2d(part, 3, 1, 1) * mask
        if torch.equal(grown, part):
            return part[0] > 0
        part = grown


def _uniform(low: float, high: float, random: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=random))


def _whole(most: int, random: torch.Generator) -> int:
    return int(torch.randint(most, (), generator=random))


def _told(ab_2hw: Tensor, mask_hw: Tensor, random: torch.Generator) -> Tensor:
    """The truth where the mask is, fully sure."""
    mask = mask_hw[None]
    if float(torch.rand((), generator=random)) < THICK:
        mask = F.max_pool2d(mask, 3, 1, 1)
    return torch.cat([ab_2hw * mask, mask])


def _points(ab_2hw: Tensor, random: torch.Generator) -> Tensor:
    h, w = ab_2hw.shape[1:]
    count = round(float(torch.exp(torch.rand((), generator=random) * torch.log(torch.tensor(float(MAX_POINTS))))))
    mask = torch.zeros(h * w)
    mask[torch.randperm(h * w, generator=random)[:count]] = 1
    return _told(ab_2hw, mask.view(h, w), random)


def _strokes(ab_2hw: Tensor, random: torch.Generator) -> Tensor:
    h, w = ab_2hw.shape[1:]
    mask = torch.zeros(h, w)
    for _ in range(1 + _whole(MAX_SHAPES, random)):
        ends = [(_uniform(0, h - 1, random), _uniform(0, w - 1, random))]
        ends.append(tuple(end + _uniform(-0.3, 0.3, random) * min(h, w) for end in ends[0]))  # type: ignore[arg-type]
        steps = torch.linspace(0, 1, 2 * max(h, w))
        rows, columns = (start + steps * (end - start) for start, end in zip(*ends, strict=True))
        mask[rows.round().long().clamp(0, h - 1), columns.round().long().clamp(0, w - 1)] = 1
    return _told(ab_2hw, mask, random)


def _regions(ab_2hw: Tensor, random: torch.Generator) -> Tensor:
    """Ellipses of the truth, or, as a person paints them, of their mean color."""
    h, w = ab_2hw.shape[1:]
    known = torch.zeros(3, h, w)
    rows, columns = torch.arange(h)[:, None] / h, torch.arange(w)[None] / w
    for _ in range(1 + _whole(MAX_SHAPES, random)):
        tall, wide = _uniform(0.03, 0.3, random), _uniform(0.03, 0.3, random)
        down, across = (rows - _uniform(0, 1, random)) / tall, (columns - _uniform(0, 1, random)) / wide
        inside = down.square() + across.square() < 1
        if not bool(inside.any()):
            continue
        known[:2, inside] = ab_2hw[:, inside]
        spread = float(ab_2hw[:, inside].std(dim=1, correction=0).norm())
        if spread < 2 * NOISE:  # of one color
            known[:2, inside] = ab_2hw[:, inside].mean(dim=1, keepdim=True)
        known[2, inside] = 1
    return known


def _copy(ab_2hw: Tensor, foreign_2hw: Tensor, random: torch.Generator) -> Tensor:
    """The truth as another frame shows it: moved, noisy, and something else in places."""
    h, w = ab_2hw.shape[1:]
    coarse = torch.randn(1, 2, 4, 4, generator=random) + torch.randn(1, 2, 1, 1, generator=random)
    bent = F.interpolate(coarse * BEND * float(torch.rand((), generator=random)), (h, w), mode="bicubic")[0]
    rows, columns = torch.arange(h)[:, None] + bent[0], torch.arange(w)[None] + bent[1]
    grid = torch.stack([(2 * columns + 1) / w - 1, (2 * rows + 1) / h - 1], dim=-1)[None]
    moved = F.grid_sample(ab_2hw[None], grid, padding_mode="border", align_corners=False)[0]
    moved = moved + _uniform(0, NOISE, random) * torch.randn(moved.shape, generator=random)
    blobs = F.interpolate(torch.randn(1, 1, 6, 6, generator=random), (h, w), mode="bicubic")[0, 0]
    wrong = blobs > torch.quantile(blobs, 1 - _uniform(0, MAX_WRONG, random))
    ranges = torch.where(wrong[..., None], torch.tensor(SURE_WRONG), torch.tensor(SURE_RIGHT))
    smooth = F.interpolate(torch.rand(1, 1, 8, 8, generator=random), (h, w), mode="bilinear")[0, 0]
    sure = ranges[..., 0] + (ranges[..., 1] - ranges[..., 0]) * smooth
    return torch.cat([torch.where(wrong, foreign_2hw, moved), sure[None]])
