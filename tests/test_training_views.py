"""Two views of a photo: where each place lies in it is known, and what both show has the same color."""

import torch
from torch.nn import functional as F

from vidcolor.color import rgb_to_lab
from vidcolor.training.recipes import NO_AGING
from vidcolor.training.views import SAME, make_view

STRIDE = 16


def photo(count: int = 3, side: int = 192) -> torch.Tensor:
    random = torch.Generator().manual_seed(4)
    return F.interpolate(torch.rand(count, 3, 5, 5, generator=random), (side, side), mode="bicubic").clamp(0, 1)


def test_a_view_has_the_colors_of_the_places_that_it_shows():
    rgb, random = photo(), torch.Generator().manual_seed(1)
    view = make_view(rgb, STRIDE, NO_AGING, random)
    assert view.lightness_B1HW.shape == (3, 1, 192, 192)
    assert view.ab_B2pq.shape == view.place_B2pq.shape == (3, 2, 12, 12)
    _, a, b = rgb_to_lab(*rgb.unbind(1))
    shown = F.grid_sample(torch.stack([a, b], 1), view.place_B2pq.permute(0, 2, 3, 1), align_corners=False)
    inside = (view.place_B2pq.abs() < 0.95).all(dim=1, keepdim=True)
    assert float(((view.ab_B2pq - shown).abs() * inside).mean()) < 2
    assert 0 <= float(view.lightness_B1HW.min()) <= float(view.lightness_B1HW.max()) <= 100


def test_two_views_differ_and_share_places():
    rgb, random = photo(), torch.Generator().manual_seed(2)
    one, other = (make_view(rgb, STRIDE, NO_AGING, random) for _ in range(2))
    assert float((one.place_B2pq - other.place_B2pq).abs().mean()) > 0.02
    shared = one.shows(other)
    assert shared.shape == (3, 1, 12, 12)
    assert 0.2 < float(shared.mean()) <= 1
    assert torch.equal(one.shows(one), torch.ones_like(shared))
    at = shared[0, 0].nonzero()[0]
    place = one.place_B2pq[0, :, at[0], at[1]]
    distance = (other.place_B2pq[0] - place[:, None, None]).norm(dim=0)
    assert float(distance.min()) < SAME
