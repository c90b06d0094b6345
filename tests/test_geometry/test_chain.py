"""Motion by way of a second frame: closed forms, brute force, one case per term."""
from __future__ import annotations

import math

import pytest
import torch

from mmrefine.geometry import (chain_error, compose, compose_all, composite_error, composite_tolerance, landing_claims,
                               pixel_grid)

NAN = float('nan')


def constant(x, y, height=7, width=9):
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).repeat(1, 1, height, width)


def affine(matrix, shift, height=24, width=32):
    """The flow of ``p -> c + matrix (p - c) + shift`` about the centre c, double precision."""
    grid = pixel_grid(height, width, torch.zeros(1, dtype=torch.float64))
    away = grid - torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64).view(1, 2, 1, 1)
    moved = torch.einsum('ij,bjhw->bihw', torch.tensor(matrix, dtype=torch.float64), away)
    return moved - away + torch.tensor(shift, dtype=torch.float64).view(1, 2, 1, 1)


def bilinear(image, x, y):
    """Value of ``(C, H, W)`` at one point inside, by the four pixels around."""
    height, width = image.shape[-2:]
    x0, y0 = min(int(x), width - 2), min(int(y), height - 2)
    u, v = x - x0, y - y0
    above = (1 - u) * image[:, y0, x0] + u * image[:, y0, x0 + 1]
    below = (1 - u) * image[:, y0 + 1, x0] + u * image[:, y0 + 1, x0 + 1]
    return (1 - v) * above + v * below


def inside(x, y, height, width):
    return 0 <= x <= width - 1 and 0 <= y <= height - 1


def test_two_translations_add_up_and_mean_something_where_both_ends_are_in_the_frame():
    chained, where = compose(constant(2, 0), constant(1, -1))
    wanted = torch.zeros(7, 9, dtype=torch.bool)
    wanted[1:, :6] = True                                  # 3 columns and 1 row leave at last
    assert torch.equal(where[0, 0], wanted)
    assert torch.equal(chained[..., :7], constant(3, -1)[..., :7])


def test_a_way_that_leaves_the_frame_and_comes_back_means_nothing():
    """4 px out and 4 px back: only the 5 columns that stay inside in between."""
    _, where = compose(constant(4, 0), constant(-4, 0))
    assert where[0, 0].int().tolist() == [[1] * 5 + [0] * 4] * 7


def test_affine_motions_chain_to_the_product_of_their_maps():
    one, two = ((.9, .1), (-.05, .95)), ((1.02, -.03), (.04, .9))
    flow_12, flow_23 = affine(one, (1.5, -.5)), affine(two, (-.7, .3))
    product = torch.tensor(two).double() @ torch.tensor([[*one[0], 1.5], [*one[1], -.5]]).double()
    matrix, shift = product[:, :2].tolist(), [float(product[0, 2]) - .7, float(product[1, 2]) + .3]
    error, where = composite_error(flow_12, flow_23, affine(matrix, shift))
    assert where.double().mean() > .9 and float(error[where].max()) < 1e-5
    wrong = affine(matrix, (shift[0] + 3., shift[1] - 4.))
    error, where = composite_error(flow_12, flow_23, wrong)
    assert where.any() and float((error[where] - 5.).abs().max()) < 1e-5    # 3-4-5


def test_chain_and_error_are_those_of_a_loop_over_pixels():
    flow_12, flow_23, flow_13 = (1.5 * torch.randn(3, 2, 2, 6, 7, dtype=torch.float64)).unbind(0)
    chained, where = compose(flow_12, flow_23)
    error, comparable = composite_error(flow_12, flow_23, flow_13)
    counts = dict(inside=0, compared=0)
    for b in range(2):
        for y in range(6):
            for x in range(7):
                at = x + float(flow_12[b, 0, y, x]), y + float(flow_12[b, 1, y, x])
                if not inside(*at, 6, 7):
                    assert not where[b, 0, y, x] and not comparable[b, 0, y, x]
                    continue
                wanted = flow_12[b, :, y, x] + bilinear(flow_23[b], *at)
                torch.testing.assert_close(chained[b, :, y, x], wanted)
                ends = inside(x + float(wanted[0]), y + float(wanted[1]), 6, 7)
                direct = inside(x + float(flow_13[b, 0, y, x]), y + float(flow_13[b, 1, y, x]), 6, 7)
                assert bool(where[b, 0, y, x]) == ends and bool(comparable[b, 0, y, x]) == (ends and direct)
                apart = float((wanted - flow_13[b, :, y, x]).norm()) if ends and direct else math.inf
                assert float(error[b, 0, y, x]) == pytest.approx(apart)
                counts['inside'] += ends
                counts['compared'] += ends and direct
    assert counts['inside'] > counts['compared'] > 5


@pytest.mark.parametrize('flow_12, flow_23, flow_13, columns', [
    ((2, 0), (-2, 0), (0, 0), 7),                          # only the way to frame 2 leaves
    ((0, 0), (3, 0), (0, 0), 6),                           # only the end of the way over frame 2
    ((0, 0), (0, 0), (4, 0), 5),                           # only the direct way
])
def test_each_way_out_of_the_frame_leaves_nothing_to_compare(flow_12, flow_23, flow_13, columns):
    error, where = composite_error(*(constant(*flow) for flow in (flow_12, flow_23, flow_13)))
    assert where[0, 0].int().tolist() == [[1] * columns + [0] * (9 - columns)] * 7
    assert torch.equal(torch.isfinite(error), where)


def test_motion_to_a_frame_that_does_not_exist_is_compared_nowhere():
    for flows in ((constant(1, 0), constant(NAN, NAN), constant(2, 0)),
                  (constant(1, 0), constant(1, 0), constant(NAN, NAN))):
        error, where = composite_error(*flows)
        assert not where.any() and torch.isinf(error).all()


@pytest.mark.parametrize('flow_12, flow_23, flow_13, px', [
    ((0, 0), (0, 0), (0, 0), .5),
    ((3, 4), (0, 0), (0, 0), .5 + .1 * 5),
    ((0, 0), (0, -2), (0, 0), .5 + .1 * 2),
    ((0, 0), (0, 0), (1, 0), .5 + .1 * 1),
    ((1, 0), (0, 2), (0, 3), .5 + .1 * 6),
])
def test_each_motion_widens_the_tolerance(flow_12, flow_23, flow_13, px):
    tolerance = composite_tolerance(*(constant(*flow) for flow in (flow_12, flow_23, flow_13)), alpha=.1, beta=.5)
    assert float(tolerance[0, 0, 2, 4]) == pytest.approx(px)


def test_the_second_motion_is_measured_where_the_first_one_lands():
    flow_23 = constant(0, 0)
    flow_23[0, 0, 3, 6] = 5.
    tolerance = composite_tolerance(constant(2, 0), flow_23, constant(0, 0), alpha=1., beta=0.)
    assert float(tolerance[0, 0, 3, 4]) == pytest.approx(7.) and float(tolerance[0, 0, 3, 6]) == pytest.approx(2.)


@pytest.mark.parametrize('x, y', [(0, 0), (2, -1), (.5, .25)])
def test_a_translation_lays_one_claim_on_every_place_it_reaches(x, y):
    claims = landing_claims(constant(x, y))[0, 0]
    assert float((claims[1:5, 1:6] - 1).abs().max()) < 1e-4


def test_who_lands_outside_or_nowhere_claims_nothing():
    claims = landing_claims(constant(20, 0))
    assert not claims.any()
    still = constant(0, 0)
    still[..., 3, 4] = NAN
    wanted = torch.ones(7, 9)
    wanted[3, 4] = 0.
    torch.testing.assert_close(landing_claims(still)[0, 0], wanted)


def test_what_covers_and_what_is_covered_share_a_place():
    """A block of 3x2 px goes 4 px to the right over a background at rest."""
    flow = constant(0, 0)
    flow[0, 0, 2:4, 1:4] = 4.
    wanted = torch.ones(7, 9)
    wanted[2:4, 1:4] = 2.                                  # the block
    wanted[2:4, 5:8] = 2.                                  # what it covers
    torch.testing.assert_close(landing_claims(flow)[0, 0], wanted)


def test_shrinking_to_a_half_lays_four_claims_on_a_place():
    claims = landing_claims(affine(((.5, 0.), (0., .5)), (0., 0.)))
    assert float((claims[0, 0, 4:-4, 4:-4] - 4).abs().max()) < 1e-3


def test_claims_are_those_of_a_loop_over_pixels_and_the_flow_stays_as_it_is():
    flow = 2 * torch.randn(2, 2, 5, 6, dtype=torch.float64)
    before, found = flow.clone(), landing_claims(flow)
    assert torch.equal(flow, before)
    for b in range(2):
        laid = torch.zeros(1, 5, 6, dtype=torch.float64)
        ends = {(x, y): (x + float(flow[b, 0, y, x]), y + float(flow[b, 1, y, x])) for y in range(5) for x in range(6)}
        ends = {pixel: end for pixel, end in ends.items() if inside(*end, 5, 6)}
        for x, y in ends.values():
            for row in range(5):
                for column in range(6):
                    laid[0, row, column] += max(0., 1 - abs(x - column)) * max(0., 1 - abs(y - row))
        assert len(ends) > 5
        for y in range(5):
            for x in range(6):
                wanted = float(bilinear(laid, *ends[x, y])) if (x, y) in ends else 0.
                assert float(found[b, 0, y, x]) == pytest.approx(wanted, abs=1e-3)


def test_a_chain_of_affine_steps_is_their_product_and_backwards_that_of_their_inverses_in_mirrored_order():
    """Turns, a stretch and shifts, which do not commute; bilinear reading of what is linear is exact."""
    steps = [([[.96, -.28], [.28, .96]], (1., -.5)), ([[1.05, 0.], [0., .95]], (0., 0.)),
             ([[1., 0.], [0., 1.]], (2.5, 1.25))]
    whole = (torch.eye(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    for matrix, shift in steps:
        m, b = torch.tensor(matrix, dtype=torch.float64), torch.tensor(shift, dtype=torch.float64)
        whole = (m @ whole[0], m @ whole[1] + b)
    flows = [affine(*step) for step in steps]
    found, inside = compose_all(flows)
    wanted = affine(whole[0].tolist(), whole[1].tolist())
    assert .5 < inside.double().mean() < 1
    assert (found - wanted).abs().masked_fill(~inside, 0.).max() < 1e-9
    inverses = [(torch.linalg.inv(torch.tensor(m, dtype=torch.float64)), torch.tensor(b, dtype=torch.float64))
                for m, b in steps]
    back = [affine(m.tolist(), (-m @ b).tolist()) for m, b in reversed(inverses)]
    found, inside = compose_all(back)
    m = torch.linalg.inv(whole[0])
    assert (found - affine(m.tolist(), (-m @ whole[1]).tolist())).abs().masked_fill(~inside, 0.).max() < 1e-9
    single, alone = compose_all(flows[:1])
    assert torch.equal(single, flows[0]) and not alone.all()


def test_a_chain_is_lost_where_it_leaves_a_frame_on_its_way_though_it_comes_back():
    there, back = constant(5, 0), constant(-5, 0)
    inside = compose_all([there, back])[1]
    assert inside[0, 0].tolist() == [[True] * 4 + [False] * 5] * 7
    assert torch.equal(compose_all([there, constant(0, 0), back])[1], inside)


def test_the_error_of_a_chain_is_that_of_its_worst_step_where_the_chain_passes():
    flows, back = [constant(3, 0), constant(0, 2)], [constant(-3, 0), constant(0, -2)]
    assert chain_error(flows, back)[0, 0, :5, :6].max() < 1e-5
    back[1] = back[1].clone()
    # read by the second step where it lands: row 3 is row 1 before it, column 5 is column 2 before the first
    back[1][0, 0, 3, 5] = 4.
    error = chain_error(flows, back)[0, 0, :5, :6]
    assert error[1, 2] == pytest.approx(4) and error.sum() == pytest.approx(4, abs=1e-4)
    back[0] = constant(-3, 6)
    assert chain_error(flows, back)[0, 0, 1, 2] == pytest.approx(6)
    # it leaves the frame: no more than its sides
    assert chain_error([constant(20, 0)], [constant(0, 0)]).max() == 7 + 9
