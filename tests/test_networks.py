"""Generators: shapes, costs, and that they learn."""

import pytest
import torch

from vidcolor.errors import ModelError
from vidcolor.networks import build
from vidcolor.networks.binnet import BinNet
from vidcolor.networks.discriminators import (
    FeatureDiscriminator,
    ImageDiscriminator,
    MultiScaleDiscriminator,
    PatchDiscriminator,
    normalize_lab,
)
from vidcolor.networks.efficientnet import EfficientNetLite, fuse_batch_norms, load_imagenet_checkpoint
from vidcolor.networks.guidance import Guidance
from vidcolor.networks.likeness import find_colors

GENERATORS = [
    ("binnet", {"bins": 20}),
    ("pix2pix", {"width": 4, "depth": 5}),
    ("eccv16", {"width": 0.1, "bins": 20}),
    ("resunet", {"width": 4, "depth": 3}),
]


@pytest.mark.parametrize(("name", "config"), GENERATORS)
@pytest.mark.parametrize("size", [(64, 96), (96, 32)])
def test_a_generator_gives_two_channels_at_its_stride(name: str, config: dict[str, object], size: tuple[int, int]):
    network = build(name, config).eval()
    with torch.inference_mode():
        ab = network(torch.rand(2, 1, *size) * 100)
    assert ab.shape == (2, 2, size[0] // network.stride, size[1] // network.stride)


def test_eccv16_is_the_papers_network():
    """Zhang et al. release 32.2 M parameters, read-out included."""
    assert sum(p.numel() for p in build("eccv16", {}).parameters()) == pytest.approx(32.2e6, rel=0.01)


def receptive_field(network: torch.nn.Module) -> int:
    """Pixels of the input that one logit sees."""
    picture = torch.rand(1, 3, 256, 256, requires_grad=True)
    logits = network.eval()(picture)[0]
    middle = logits.shape[2] // 2
    logits[0, 0, middle, middle].backward()
    rows = picture.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    return int(rows.max() - rows.min()) + 1


def test_the_patch_discriminator_sees_70_by_70():
    assert receptive_field(PatchDiscriminator(width=8)) == 70


@pytest.mark.parametrize("norm", ["batch", "instance", "spectral", "none"])
def test_discriminators_judge_patches_scales_and_pictures(norm: str):
    lab = normalize_lab(torch.rand(2, 1, 64, 64) * 100, torch.rand(2, 2, 64, 64) * 40)
    assert [tuple(v.shape) for v in PatchDiscriminator(width=8, norm=norm)(lab)] == [(2, 1, 6, 6)]
    assert len(MultiScaleDiscriminator(scales=2, width=8, norm=norm)(lab)) == 2
    if norm != "spectral":
        assert [tuple(v.shape) for v in ImageDiscriminator(width=8, norm=norm)(lab)] == [(2, 1)]


def test_the_feature_discriminator_judges_each_stride_through_a_mixing_that_stays_as_it_is():
    seen = EfficientNetLite("lite0", inputs=3).eval()(torch.rand(2, 3, 64, 96))
    discriminator = FeatureDiscriminator(width=8)
    state = discriminator.state_dict()
    before = {name: value.clone() for name, value in state.items() if name.startswith(("mix", "blend"))}
    verdicts = discriminator(seen)
    assert [tuple(v.shape) for v in verdicts] == [(2, 1, 16, 24), (2, 1, 8, 12), (2, 1, 4, 6), (2, 1, 2, 3)]
    optimizer = torch.optim.SGD(discriminator.parameters(), lr=1.0)
    torch.stack([v.mean() for v in verdicts]).sum().backward()
    optimizer.step()
    after = discriminator.state_dict()
    assert len(before) == 8
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not torch.equal(discriminator(seen)[0], verdicts[0])  # the discriminators themselves did learn


def test_a_fine_judge_is_told_what_the_coarse_maps_show():
    seen = EfficientNetLite("lite0", inputs=3).eval()(torch.rand(1, 3, 64, 64))
    discriminator = FeatureDiscriminator(width=8)
    other = [*seen[:-1], torch.randn_like(seen[-1])]
    assert not torch.equal(discriminator(seen)[0], discriminator(other)[0])


def test_pix2pix_is_the_papers_unet_256():
    """Isola et al. report 54.4 M parameters for RGB in and out; L in and ab out need a little less."""
    parameters = sum(p.numel() for p in build("pix2pix", {}).parameters())
    assert parameters == pytest.approx(54.4e6, rel=0.01)


def test_the_default_generator_stays_within_its_budget():
    """At most 2.5 GMAC at 256x448 and 20 M parameters."""
    network = BinNet(bins=313).eval()
    macs = 0

    def count(module: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal macs
        if isinstance(module, torch.nn.Conv2d):
            macs += output.numel() * module.weight[0].numel()
        else:
            macs += output.numel() * module.in_features

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 1, 256, 448))
    assert 0.5e9 < macs < 2.5e9
    assert sum(p.numel() for p in network.parameters()) < 20e6


def test_the_encoder_takes_the_published_weights_and_reads_gray_as_three_like_channels():
    checkpoint = load_imagenet_checkpoint("lite0")
    gray, rgb = EfficientNetLite("lite0"), EfficientNetLite("lite0", inputs=3)
    gray.load_imagenet(checkpoint)
    rgb.load_imagenet(checkpoint)
    picture = torch.rand(1, 1, 64, 64) * 2 - 1
    with torch.inference_mode():
        ours, theirs = gray.eval()(picture), rgb.eval()(picture.expand(1, 3, 64, 64))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-3)


def test_norms_folded_into_convolutions_give_the_same_features_and_gradients():
    body = EfficientNetLite("lite0", inputs=3)
    body.load_imagenet(load_imagenet_checkpoint("lite0"))
    body.eval().double()  # in single precision a value at an activation's kink may fall on either side of it
    pictures = [(torch.rand(2, 3, 64, 96).double() * 2 - 1).requires_grad_() for _ in range(2)]
    pictures[1].data.copy_(pictures[0].data)
    plain = body(pictures[0])
    sum(each.square().mean() for each in plain).backward()
    folded = fuse_batch_norms(body)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    ours = folded(pictures[1])
    sum(each.square().mean() for each in ours).backward()
    for one, other in zip(ours, plain, strict=True):
        assert torch.allclose(one, other, atol=1e-9)
    assert torch.allclose(pictures[1].grad, pictures[0].grad, atol=1e-9)


def test_blocks_are_left_out_in_training_alone_and_their_mean_stays():
    torch.manual_seed(5)
    network = EfficientNetLite("lite0").eval()
    network.set_drop_path(0.5)
    block = network._blocks[-2]
    assert block.is_residual
    features = torch.randn(1, block._project_conv.out_channels, 2, 2)
    with torch.inference_mode():
        whole = block(features) - features
        block.train()
        for module in (block._bn0, block._bn1, block._bn2):
            module.eval()
        found = block(features.repeat(2000, 1, 1, 1)) - features
    share = block.drop_path
    left_out = found.flatten(1).abs().amax(dim=1) < 1e-6
    assert 0.4 < share < 0.5
    assert left_out.float().mean() == pytest.approx(share, abs=0.05)
    assert torch.allclose(found[~left_out], whole / (1 - share), atol=1e-5)
    assert network._blocks[0].drop_path == 0


def test_read_out_is_the_mean_when_hot_and_the_mode_when_cold():
    network = BinNet(bins=2)
    network.bins_2K.copy_(torch.tensor([[-50.0, 50.0], [0.0, 20.0]]))
    logits = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
    hot, cold = network.read_out(logits, 100.0), network.read_out(logits, 0.01)
    assert torch.allclose(hot.flatten(), torch.tensor([0.0, 10.0]), atol=0.6)
    assert torch.allclose(cold.flatten(), torch.tensor([50.0, 20.0]), atol=0.1)


@pytest.mark.parametrize(("name", "config"), [("resnet", {}), ("binnet", {"color": 1}), ("binnet", {"encoder": "b7"})])
def test_what_cannot_be_built_is_refused(name: str, config: dict[str, object]):
    with pytest.raises(ModelError):
        build(name, config)


def test_a_network_without_guidance_says_so_when_it_is_asked_to_listen():
    plain = build("binnet", {"encoder": "lite0", "widths": [16, 12, 8, 8], "bins": 8}).eval()
    for name in dir(plain):  # as torch's tracer does
        hasattr(plain, name)
    with pytest.raises(ModelError, match="has no guidance"):
        plain.guide(torch.rand(1, 1, 64, 64) * 100, torch.zeros(1, 3, 16, 16))
    with pytest.raises(ModelError, match="has no likeness"):
        plain.liken(torch.rand(1, 1, 64, 64) * 100)


def test_known_colors_spread_to_what_is_alike_and_change_nothing_where_none_are():
    torch.manual_seed(3)
    guidance = Guidance(8, 6).eval()
    likeness, detail = torch.randn(1, 64, 6, 8), torch.randn(1, 48, 12, 16)
    ab, known = torch.randn(1, 2, 12, 16) * 20, torch.zeros(1, 3, 12, 16)
    with torch.inference_mode():
        nothing = guidance(likeness, detail, ab, known)
        assert torch.equal(nothing[:, :2], ab)
        assert not nothing[:, 2].any()
        likeness[..., 0, 0] = likeness[..., 5, 7]
        known[0, :, 0, 0] = torch.tensor([60.0, -40.0, 1.0])
        found = guidance(likeness, detail, ab, known)
    assert torch.allclose(found[0, :2, 0, 0], torch.tensor([60.0, -40.0]), atol=0.01)
    assert float(found[0, 2, 0, 0]) == 1
    moved = (found[:, :2] - ab).norm(dim=1)[0]
    assert moved[2:4, 2:4].mean() < moved[0:2, 0:2].mean()


def test_colors_are_found_by_likeness():
    wanted = torch.zeros(1, 3, 1, 2)
    wanted[0, :, 0, 0], wanted[0, :, 0, 1] = torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0])
    known = torch.tensor([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])  # of three places
    found = find_colors(wanted, known, torch.tensor([[[10.0, 20.0, 30.0], [1.0, 2.0, 3.0]]]))
    assert torch.allclose(found[0, :, 0], torch.tensor([[20.0, 10.0], [2.0, 1.0]]), atol=1e-3)


def test_a_tint_without_bias_moves_nothing_and_one_bin_alone_wins_with_a_great_one():
    torch.manual_seed(5)
    network = build("binnet", {"encoder": "lite0", "widths": [16, 12, 8, 8], "bins": 8}).eval()
    network.bins_2K.copy_(torch.randn(2, 8) * 30)
    lightness, bias = torch.rand(1, 1, 64, 64) * 100, torch.zeros(1, 8, 1, 1)
    with torch.inference_mode():
        moved, shares = network.tint(lightness, bias)
        assert not moved.any()
        assert float(shares.sum()) == pytest.approx(1, abs=1e-5)
        bias[0, 3] = 60
        moved, again = network.tint(lightness, bias)
        tinted = network(lightness) + moved
    assert torch.allclose(again, shares)
    assert torch.allclose(tinted, network.bins_2K[:, 3].view(1, 2, 1, 1).expand_as(tinted), atol=1e-2)


def test_a_tint_moves_bins_that_disagree_as_far_as_if_they_agreed():
    settings = {"encoder": "lite0", "bins": 3, "widths": (16, 12, 8, 8), "temperature": 1.0}
    torch.manual_seed(5)
    plain = BinNet(**settings).eval()
    plain.bins_2K.copy_(torch.tensor([[40.0, -20.0, 0.0], [0.0, 30.0, -40.0]]))
    agreed = BinNet(agreement=1.0, **settings).eval()
    agreed.load_state_dict(plain.state_dict())
    lightness = torch.rand(1, 1, 64, 64) * 100
    bias = torch.tensor([0.0, 0.2, 0.0]).view(1, 3, 1, 1)
    with torch.inference_mode():
        gray = agreed(lightness)
        assert gray.norm() < 0.8 * plain(lightness).norm()  # they disagree
        moved, wanted = agreed.tint(lightness, bias)[0], plain.tint(lightness, bias)[0]
        assert float((moved - wanted).norm() / wanted.norm()) < 0.2
        tinted = gray + agreed.tint(lightness, 300 * bias)[0]
    assert torch.allclose(tinted, plain.bins_2K[:, 1].view(1, 2, 1, 1).expand_as(tinted), atol=1e-2)


def test_shrinkage_keeps_half_of_its_chroma_less_of_weaker_colors_and_none_of_no_color():
    settings = {"encoder": "lite0", "bins": 3, "widths": (8, 8, 8, 8), "temperature": 1.0}
    plain, shrunk = (BinNet(saturation=2.0, shrinkage=shrinkage, **settings) for shrinkage in (0.0, 12.0))
    for network in (plain, shrunk):
        network.bins_2K.copy_(torch.tensor([[0.0, 12.0, 0.0], [0.0, 0.0, -36.0]]))
    logits = 99 * torch.eye(3)[None, :, None]  # (1, K, 1, 3): three pixels, each sure of a bin
    assert torch.allclose(plain.read_out(logits)[0, :, 0].T, torch.tensor([[0.0, 0.0], [24.0, 0.0], [0.0, -72.0]]))
    expected = torch.tensor([[0.0, 0.0], [12.0, 0.0], [0.0, -54.0]])  # 12/(12+12) and 36/(36+12) of them
    assert torch.allclose(shrunk.read_out(logits)[0, :, 0].T, expected, atol=1e-2)


def test_bins_of_different_hues_make_gray_not_the_hue_between_them():
    settings = {"encoder": "lite0", "bins": 3, "widths": (8, 8, 8, 8), "temperature": 1.0, "saturation": 2.0}
    plain, agreed, squared = (BinNet(agreement=agreement, **settings) for agreement in (0.0, 1.0, 2.0))
    for network in (plain, agreed, squared):
        network.bins_2K.copy_(torch.tensor([[40.0, 0.0, 20.0], [0.0, -30.0, 0.0]]))
    logits = torch.tensor([[99.0, 0, 0], [50.0, 50, 0], [50.0, 0, 50]]).T[None, :, None]  # (1, K, 1, 3)
    sure, red_or_blue, red_or_pale = ([80.0, 0.0], [40.0, -30.0], [60.0, 0.0])
    for network, power in ((plain, 0), (agreed, 1), (squared, 2)):
        share = (50 / 70) ** power  # a mean of chroma 50 of colors of chroma 80 and 60
        expected = torch.tensor([sure, [share * value for value in red_or_blue], red_or_pale])
        assert torch.allclose(network.read_out(logits)[0, :, 0].T, expected, rtol=2e-3)


def test_shrinkage_fits_half_precision():
    network = BinNet(encoder="lite0", bins=2, widths=(8, 8, 8, 8), saturation=4.0, shrinkage=12.0)
    network.bins_2K.copy_(torch.tensor([[110.0, -110.0], [110.0, -110.0]]))
    logits = torch.tensor([9.0, -9.0]).reshape(1, 2, 1, 1)
    exact = network.read_out(logits)
    half = network.half().read_out(logits.half())
    assert exact.abs().min() > 300
    assert torch.allclose(half.float(), exact, rtol=1e-2)


@pytest.mark.parametrize("agreement", [1e-6, 1.0, 16.0])
@pytest.mark.parametrize(("saturation", "shrinkage"), [(0.0, 12.0), (1.0, 0.0), (4.0, 6.0), (10.0, 0.1), (1.0, 100.0)])
def test_no_read_out_makes_colors_that_are_no_numbers(saturation, shrinkage, agreement):
    settings = {"encoder": "lite0", "bins": 3, "widths": (8, 8, 8, 8), "temperature": 1.0}
    network = BinNet(saturation=saturation, shrinkage=shrinkage, agreement=agreement, **settings)
    network.bins_2K.copy_(torch.tensor([[0.0, 110.0, -110.0], [0.0, -110.0, 110.0]]))
    logits = torch.cat([99 * torch.eye(3), torch.tensor([[0.0], [9.0], [9.0]])], dim=1)[None, :, None]
    logits.requires_grad_(True)
    exact = network.read_out(logits)
    assert exact.isfinite().all()
    assert exact[..., 0].abs().max() < 1e-3  # what is gray, and what may be this or its opposite
    assert exact[..., 3].abs().max() < 1e-3
    (slope,) = torch.autograd.grad(exact.sum(), logits)
    assert slope.isfinite().all()
    half = network.half().read_out(logits.half())
    assert torch.allclose(half.float(), exact, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize(("saturation", "shrinkage"), [(0.0, 12.0), (1.0, 1e-9), (10.0, 0.1), (1.0, 100.0)])
def test_no_shrinkage_makes_colors_that_are_no_numbers(saturation, shrinkage):
    settings = {"encoder": "lite0", "bins": 2, "widths": (8, 8, 8, 8), "temperature": 1.0}
    network = BinNet(saturation=saturation, shrinkage=shrinkage, **settings)
    network.bins_2K.copy_(torch.tensor([[0.0, 110.0], [0.0, -110.0]]))
    logits = 99 * torch.eye(2)[None, :, None]
    exact = network.read_out(logits)
    chroma = saturation * 110 * 2**0.5
    kept = chroma / (chroma + saturation * shrinkage) if saturation else 0
    expected = torch.tensor([[0.0, 0.0], [110.0, -110.0]]) * saturation * kept
    assert torch.allclose(exact[0, :, 0].T, expected, rtol=1e-4, atol=1e-2)
    half = network.half().read_out(logits.half())
    assert torch.allclose(half.float(), exact, rtol=1e-2, atol=1e-2)
