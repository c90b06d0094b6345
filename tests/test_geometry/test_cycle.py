"""The cycle check: closed forms, one case per term, symmetry, and the official masks."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmrefine.geometry import (cycle_consistent, cycle_error, cycle_tolerance, landing_points, lands_inside, lengths,
                               pixel_grid)


def constant(x, y, size=9):
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).expand(1, 2, size,
                                                                      size).contiguous()


def center(mask):
    return mask[0, 0, mask.shape[-2] // 2, mask.shape[-1] // 2].item()


def test_a_translation_cycles_to_zero_inside_and_inf_where_it_leaves():
    flow = torch.zeros(1, 2, 5, 7)
    flow[:, 0] = 2.                                        # everything moves 2 px right
    error = cycle_error(flow, -flow)[0, 0]
    assert torch.equal(error[:, :5], torch.zeros(5, 5))
    assert torch.isinf(error[:, 5:]).all()                 # the last 2 columns leave


@pytest.mark.parametrize('fw, bw, px', [
    ((3., 0.), (0., 0.), 3.),
    ((0., 0.), (0., -4.), 4.),                             # one side silent: the other's length
    ((3., 0.), (0., 4.), 5.),                              # 3-4-5: both count, both axes
])
def test_cycle_error_sees_both_flows_and_both_axes(fw, bw, px):
    assert center(cycle_error(constant(*fw), constant(*bw))) == pytest.approx(px)


def test_cycle_error_reads_the_backward_flow_where_the_motion_lands():
    fw, bw = constant(2, 0), constant(0, 0)
    bw[0, 0, 4, 6] = -2.                                   # only the landing point of the centre
    assert center(cycle_error(fw, bw)) == pytest.approx(0., abs=1e-5)
    assert cycle_error(fw, bw)[0, 0, 4, 3] == pytest.approx(2.)


def test_an_affine_zoom_cycles_to_zero_and_a_wrong_zoom_by_the_difference():
    """``p -> c + 0.5 (p - c)`` and back by ``2``: f = -0.5 q, b = q at the landing (q = p - c)."""
    grid = pixel_grid(9, 9, torch.zeros(1, dtype=torch.float64)) - 4.
    assert float(cycle_error(-.5 * grid, grid).max()) < 1e-12
    # back by 1.8 instead: ends at 0.9 q, off by 0.1 |q|
    error = cycle_error(-.5 * grid, .8 * grid)
    torch.testing.assert_close(error, .1 * grid.norm(dim=1, keepdim=True), rtol=0, atol=1e-12)


# One row per term: the same fields, kept with the term and dropped without it.
@pytest.mark.parametrize('term, fw, bw, kept, dropped', [
    # e = 1.  alpha |f| = 0.1 * 4 = 0.4, alpha |b| = 0.1 * 3 = 0.3, beta = 0.5: 1.2 >= 1
    ('alpha |f|', (4, 0), (-3, 0), dict(alpha=.1, beta=.5), dict(alpha=.05, beta=.5)),
    # e = 2, f = 0: only |b| = 2 can pay: 0.8 * 2 + 0.5 = 2.1; 0.7 * 2 + 0.5 = 1.9
    ('alpha |b|', (0, 0), (2, 0), dict(alpha=.8, beta=.5), dict(alpha=.7, beta=.5)),
    # e = 2, b = 0: only |f| = 2 can pay
    ('only |f|', (2, 0), (0, 0), dict(alpha=.8, beta=.5), dict(alpha=.7, beta=.5)),
    # e = 1, alpha = 0: only beta pays, and the bound itself is kept
    ('beta', (1, 0), (0, 0), dict(alpha=0., beta=1.), dict(alpha=0., beta=.99)),
    # e = 2: norm 0.5 * (2 + 0) + 0.5 = 1.5 < 2; squared 0.5 * 4 + 2.5 = 4.5 >= 4
    ('squares', (2, 0), (0, 0), dict(alpha=.5, beta=2.5, form='squared'),
     dict(alpha=.5, beta=.5, form='norm')),
    # e = 0.5: norm 0.3 < 0.5; squared: 0.25 <= 0.3
    ('squared error', (.5, 0), (0, 0), dict(alpha=0., beta=.3, form='squared'),
     dict(alpha=0., beta=.3, form='norm')),
    # e^2 = 9: 0.5 * 9 + 4.75 = 9.25, 0.5 * 9 + 4.25 = 8.75; with |f| for |f|^2 6.25 would drop it
    ('squared size', (3, 0), (0, 0), dict(alpha=.5, beta=4.75, form='squared'),
     dict(alpha=.5, beta=4.25, form='squared')),
    # f = (0, 0): |b| along y counts as along x (F4)
    ('y of b', (0, 0), (0, 2), dict(alpha=.8, beta=.5), dict(alpha=.7, beta=.5)),
    ('y of f', (0, 2), (0, 0), dict(alpha=.8, beta=.5), dict(alpha=.7, beta=.5)),
])
def test_each_term_of_the_bound_decides_once(term, fw, bw, kept, dropped):
    fw, bw = constant(*fw), constant(*bw)
    assert center(cycle_consistent(fw, bw, **kept)) is True, term
    assert center(cycle_consistent(fw, bw, **dropped)) is False, term


def test_the_forward_and_the_backward_size_add_up():
    """e = 1, |f| = 4, |b| = 3: alpha = 0.1 and beta = 0.5 need both, 0.9 and 0.8 with one."""
    fw, bw = constant(4, 0), constant(-3, 0)
    assert float(cycle_tolerance(fw, bw, .1, .5)[0, 0, 4, 4]) == pytest.approx(1.2)
    assert float(cycle_tolerance(fw, bw, .1, .5, form='squared')[0, 0, 4, 4]) == pytest.approx(3.)


def test_the_magnitude_is_read_at_the_pixel_or_at_its_landing():
    """f = 2 px right, b = -1 where it lands and -6 at the pixel itself: e = 1."""
    fw, bw = constant(2, 0), constant(0, 0)
    bw[0, 0, 4, 6], bw[0, 0, 4, 4] = -1., -6.
    # unwarped 0.1 * (2 + 6) + 0.3 = 1.1 >= 1; warped 0.1 * (2 + 1) + 0.3 = 0.6 < 1
    assert center(cycle_consistent(fw, bw, .1, .3, magnitude='unwarped')) is True
    assert center(cycle_consistent(fw, bw, .1, .3, magnitude='warped')) is False


def test_a_pixel_that_leaves_is_never_consistent_even_within_the_bound():
    flow = torch.zeros(1, 2, 5, 5)
    flow[0, 0, 2, 4] = .05                                  # 0.05 px off the frame, bound 0.1
    kept = cycle_consistent(flow, torch.zeros_like(flow))
    assert kept[0, 0].sum() == 24 and not kept[0, 0, 2, 4]


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('form', ['norm', 'squared'])
@pytest.mark.parametrize('magnitude', ['warped', 'unwarped'])
def test_nan_and_inf_are_never_kept(value, form, magnitude):
    clean = torch.zeros(1, 2, 5, 5)
    broken = clean.clone()
    broken[0, 1, 2, 2] = value
    for fw, bw in ((broken, clean), (clean, broken)):
        kept = cycle_consistent(fw, bw, form=form, magnitude=magnitude)[0, 0]
        assert not kept[2, 2] and kept[0, 0]


# F4: the verdict may not depend on the direction of the motion
SYMMETRIES = {
    'flip x': lambda f: torch.flip(f, [3]) * torch.tensor([-1., 1.]).view(1, 2, 1, 1),
    'flip y': lambda f: torch.flip(f, [2]) * torch.tensor([1., -1.]).view(1, 2, 1, 1),
    'turn by 180 degrees (sign)': lambda f: -torch.flip(f, [2, 3]),
    'transpose': lambda f: f.transpose(2, 3).flip(1),
}


@pytest.mark.parametrize('name', sorted(SYMMETRIES))
@pytest.mark.parametrize('form', ['norm', 'squared'])
@pytest.mark.parametrize('magnitude', ['warped', 'unwarped'])
def test_the_verdict_moves_with_flips_and_transposition(name, form, magnitude):
    turn = SYMMETRIES[name]
    fw = torch.randn(2, 2, 12, 15, dtype=torch.float64) * 2
    bw = torch.randn(2, 2, 12, 15, dtype=torch.float64) * 2

    def verdict(a, b):
        return cycle_consistent(a, b, .2, .8, form=form, magnitude=magnitude)

    kept = verdict(fw, bw)
    assert 10 < int(kept.sum()) < kept.numel() - 10         # both verdicts occur
    # the mask moves like a picture: as the x part of the flow, without its sign
    as_picture = {'flip x': [3], 'flip y': [2], 'turn by 180 degrees (sign)': [2, 3]}
    wanted = kept.transpose(2, 3) if name == 'transpose' else torch.flip(kept, as_picture[name])
    assert torch.equal(verdict(turn(fw), turn(bw)), wanted)


def test_the_wrong_form_and_magnitude_are_named():
    flow = torch.zeros(1, 2, 3, 3)
    with pytest.raises(ValueError, match="form must be 'norm' or 'squared', got 'l1'"):
        cycle_consistent(flow, flow, form='l1')
    with pytest.raises(ValueError, match="magnitude must be .* got 'both'"):
        cycle_consistent(flow, flow, magnitude='both')


@pytest.mark.parametrize('direction', ['fw', 'bw'])
def test_the_masks_of_the_reference_are_met_on_a_real_pair(shared_data, direction):
    oracle = np.load(shared_data / 'oracles' / 'cycle_mask_libby_00010.npz')
    other = 'bw' if direction == 'fw' else 'fw'
    flow = torch.from_numpy(oracle[f'flow_{direction}'])[None]
    back = torch.from_numpy(oracle[f'flow_{other}'])[None]
    wanted = torch.from_numpy(oracle[f'consistent_{direction}'])
    found = cycle_consistent(flow, back, float(oracle['alpha']), float(oracle['beta']))[0, 0]
    inside = lands_inside(flow)[0, 0]
    assert .9 < float(inside.double().mean()) < 1 and .05 < float(wanted.double().mean()) < .95
    assert torch.equal(found[inside], wanted[inside])
    assert not found[~inside].any()
    # what zero padding keeps beyond ours is less than a pixel off the frame
    x, y = landing_points(flow)[0][:, wanted & ~inside].unbind(0)
    assert bool((torch.stack([-x, x - 853, -y, y - 479]).amax(0) < 1).all())


def test_lengths_are_the_norm():
    vectors = torch.randn(3, 2, 5, 6)
    torch.testing.assert_close(lengths(vectors), vectors.norm(dim=1, keepdim=True))
    torch.testing.assert_close(lengths(vectors, -1), vectors.norm(dim=-1, keepdim=True))
    vectors[0, 1, 2, 3] = float('nan')
    assert lengths(vectors).isnan().nonzero().tolist() == [[0, 0, 2, 3]]
