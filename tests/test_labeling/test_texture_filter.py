"""Texture is evidence, flat areas and edges are none: waves, ramps and corners of known strength."""
from __future__ import annotations

import math

import pytest
import torch

from mmrefine.errors import ConfigError
from mmrefine.geometry import texture_strength
from mmrefine.labeling import PairContext, TextureFilter

SIZE = 35


def grey(levels):
    """A frame ``(1, 3, H, W)`` of ``(H, W)`` grey levels of 255."""
    return (levels / 255).expand(1, 3, *levels.shape[-2:]).float()


def axes(size=SIZE):
    return torch.meshgrid(torch.arange(size).double(), torch.arange(size).double(), indexing='ij')


def weight(frames, **settings):
    rest = torch.zeros(1, 2, *frames.shape[-2:])
    return TextureFilter(**settings)(PairContext(frames, torch.rand_like(frames), rest, rest))[0, 0]


def waves(along_x, along_y):
    """Waves of 7 px, so that a window of 7 px holds one of each."""
    y, x = axes()
    return grey(120 + along_x * torch.sin(2 * math.pi / 7 * x) + along_y * torch.sin(2 * math.pi / 7 * y))


@pytest.mark.parametrize('along_x, along_y', [(20., 20.), (20., 5.), (5., 20.), (40., 0.)])
def test_the_weaker_of_two_crossed_waves_decides(along_x, along_y):
    """A wave of amplitude a has the gradient ``a sin(k) cos(k x)``, so the root of its mean square is ``a sin(k) /
    sqrt(2)``."""
    strength = texture_strength(waves(along_x, along_y), radius=3)[0, 0, 4:-4, 4:-4]
    wanted = min(along_x, along_y) * math.sin(2 * math.pi / 7) / math.sqrt(2)
    torch.testing.assert_close(strength, torch.full_like(strength, wanted), rtol=1e-3, atol=.05)


def test_a_diagonal_wave_is_an_edge_in_no_axis_and_yet_no_evidence():
    y, x = axes()
    stripes = grey(120 + 30 * torch.sin(2 * math.pi / 7 * (x + y)))
    assert float(texture_strength(stripes)[..., 4:-4, 4:-4].max()) < .1
    assert float(weight(stripes)[4:-4, 4:-4].max()) == 0


def test_a_ramp_has_one_direction_and_a_roof_of_two_ramps_has_two():
    y, x = axes()
    assert float(texture_strength(grey(4 * x + 3 * y))[..., 4:-4, 4:-4].max()) < .1
    corner = grey(50 + 5 * torch.minimum(x, y))               # gradients (5, 0) and (0, 5), half of the window each
    assert float(texture_strength(corner)[0, 0, 17, 17]) == pytest.approx(5 / math.sqrt(2), rel=.15)


def test_a_corner_is_evidence_and_the_edges_that_lead_to_it_are_not():
    square = torch.full((SIZE, SIZE), 60.)
    square[17:, 17:] = 180.
    kept = weight(grey(square))
    assert kept[17, 17] == 1
    assert float(kept[30, :].max()) == float(kept[:, 30].max()) == float(kept[:10, :10].max()) == 0


@pytest.mark.parametrize('channels', [1, 3])
def test_sensor_noise_of_two_levels_is_no_evidence_in_a_flat_area_or_along_an_edge(channels):
    flat = torch.full((1, 3, 120, 120), 120.)
    edge = flat.clone()
    edge[..., 60:] = 180.
    for clean in (flat, edge):
        noisy = (clean + 2 * torch.randn(1, channels, 120, 120)).round() / 255
        assert float(weight(noisy).max()) == 0
    assert float(weight((flat + 20 * torch.randn_like(flat)).round() / 255).mean()) > .5  # it does look, though


@pytest.mark.parametrize('least, full, wanted', [(1., 4., None), (5., 9., 0.), (1., 2., 1.)])
def test_the_weight_rises_linearly_from_least_to_full(least, full, wanted):
    strength = 5 * math.sin(2 * math.pi / 7) / math.sqrt(2)   # 2.76 levels per px
    found = weight(waves(5., 5.), least=least, full=full)[4:-4, 4:-4]
    wanted = (strength - 1) / 3 if wanted is None else wanted
    torch.testing.assert_close(found, torch.full_like(found, wanted), rtol=0, atol=.01)


def test_the_labelled_frame_is_looked_at_not_the_other():
    flat = grey(torch.full((SIZE, SIZE), 90.))
    rest = torch.zeros(1, 2, SIZE, SIZE)
    ctx = PairContext(flat, waves(20., 20.), rest, rest)
    assert float(TextureFilter()(ctx).max()) == 0 and float(TextureFilter()(ctx.reversed())[..., 4:-4, 4:-4].min()) == 1


def test_strength_turns_with_the_frame_and_doubles_with_the_contrast():
    frame = torch.rand(1, 3, 20, 24) / 2
    strength = texture_strength(frame)
    torch.testing.assert_close(texture_strength(frame.transpose(2, 3)), strength.transpose(2, 3), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(texture_strength(frame.flip(3)), strength.flip(3), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(texture_strength(2 * frame), 2 * strength, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('settings, said', [
    (dict(least=-1), 'TextureFilter.least must be finite and not negative, got -1'),
    (dict(least=3., full=3.), 'TextureFilter.full must be finite and above 3, got 3.0; it must be above least'),
    (dict(full=float('inf')), 'TextureFilter.full .* got inf'),
    (dict(radius=0), 'TextureFilter.radius must be a whole number, at least 1, got 0'),
])
def test_invalid_values_are_refused_by_key_and_value(settings, said):
    with pytest.raises(ConfigError, match=said):
        TextureFilter(**settings)
