"""The verifier of passes: what it starts from, what it must not depend on, and that it learns."""
from __future__ import annotations

import pytest
import torch

from mmrefine.errors import ConfigError
from mmrefine.labeling import Arbiter, PassVerifier, VerifierLearner
from mmrefine.labeling.flow.verifier.evidence import CHANNELS, REGISTERED, gather
from mmrefine.structures import PassJudge

SIZE = (33, 46)  # neither even nor a multiple of anything
TRAITS = torch.tensor([[0., 0.], [0.585, 0.], [1., 0.], [1., 1.]])
SMALL = dict(width=8, head=8, features=8)


def scene(count=4, size=SIZE, seed=0):
    """Frames both ways, passes around a motion of the whole frame, and that motion."""
    draws = torch.Generator().manual_seed(seed)
    frame = torch.nn.functional.avg_pool2d(torch.rand(1, 3, size[0] + 12, size[1] + 12, generator=draws), 5, 1, 2)
    one, two = frame[..., 6:-6, 6:-6], frame[..., 5:-7, 4:-8]
    truth = torch.tensor([[2., 1.], [-2., -1.]])[..., None, None].expand(2, 2, *size)
    noise = torch.linspace(0.1, 0.8, count).view(-1, 1, 1, 1, 1)
    passes = truth + noise * torch.randn(count, 2, 2, *size, generator=draws)
    return torch.cat([one, two]), torch.cat([two, one]), passes, truth


def judged(network, frames1, frames2, passes, traits=TRAITS):
    start, shares = Arbiter().settle(frames1, frames2, passes)
    with torch.no_grad():
        return network(frames1, frames2, passes, traits, start, shares)


@pytest.fixture
def network():
    """One that does not only repeat the arbiter."""
    torch.manual_seed(3)
    network = PassVerifier(**SMALL)
    with torch.no_grad():
        for part in (network.logits, network.doubt):
            part.weight.normal_(std=0.05)
        network.logits.bias[1:] = -1.
    return network


def test_it_has_at_most_200_000_parameters():
    assert sum(parameter.numel() for parameter in PassVerifier().parameters()) <= 200_000


def test_it_starts_from_the_shares_of_the_arbiter():
    """Closed form: without training the weights are those that it is given, and e^-6 of each for every neighbour."""
    frames1, frames2, passes, _ = scene()
    start, shares = Arbiter().settle(frames1, frames2, passes)
    found = judged(PassVerifier(**SMALL), frames1, frames2, passes)
    given = torch.cat([shares, torch.full((len(REGISTERED), *shares.shape[1:]), 0.05)]).clamp(min=1e-4)
    torch.testing.assert_close(found.shares, given / given.sum(dim=0))
    candidates = gather(frames1, frames2, passes, TRAITS, start, shares).motions
    own = (found.shares * candidates).sum(dim=0)
    part = 24 * torch.tensor(-6.).exp() / (1 + 24 * torch.tensor(-6.).exp())
    assert ((found.motion - own).norm(dim=1) <= part * 2 * (candidates.amax() - candidates.amin())).all()
    spread = (found.shares * (candidates - found.motion).norm(dim=2, keepdim=True)).sum(dim=0)
    torch.testing.assert_close(found.error, spread + 0.05)


def test_neighbours_are_where_they_should_be():
    """With all weight on one neighbour the answer is the motion there, and the border repeats."""
    frames1, frames2, passes, _ = scene(1)
    network = PassVerifier(rings=(3, ), **SMALL)
    with torch.no_grad():
        network.logits.bias.fill_(-100.)
        network.logits.bias[1] = 0.  # the first of the eight: above and to the left
        found = judged(network, frames1, frames2, passes, TRAITS[:1])
    start, shares = Arbiter().settle(frames1, frames2, passes)
    candidates = gather(frames1, frames2, passes, TRAITS[:1], start, shares).motions
    there = (found.shares * torch.nn.functional.pad(candidates.flatten(0, 1), [3, 3, 3, 3], mode='replicate')
             .unflatten(0, candidates.shape[:2])[..., :-6, :-6]).sum(dim=0)
    torch.testing.assert_close(found.motion, there)


@pytest.mark.parametrize('count', [1, 2, 5])
def test_any_number_of_passes(network, count):
    frames1, frames2, passes, _ = scene(count)
    found = judged(network, frames1, frames2, passes, TRAITS[:1].expand(count, 2))
    assert found.motion.shape == (2, 2, *SIZE) and found.shares.shape == (count + len(REGISTERED), 2, 1, *SIZE)
    torch.testing.assert_close(found.shares.sum(dim=0), torch.ones(2, 1, *SIZE))
    assert (found.error > 0).all()


def test_the_order_of_the_passes_means_nothing(network):
    frames1, frames2, passes, _ = scene()
    order = [2, 0, 3, 1]
    plain = judged(network, frames1, frames2, passes)
    other = judged(network, frames1, frames2, passes[order], TRAITS[order])
    torch.testing.assert_close(plain.motion, other.motion, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(plain.shares[order], other.shares[:4], atol=1e-4, rtol=1e-4)


def test_both_directions_are_judged_alike(network):
    frames1, frames2, passes, _ = scene()
    there = judged(network, frames1, frames2, passes)
    back = judged(network, frames2, frames1, passes.flip(1))
    torch.testing.assert_close(there.motion, back.motion.flip(0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(there.error, back.error.flip(0), atol=1e-5, rtol=1e-5)


def test_images_one_by_one_are_the_batch(network):
    """In use each image is worked out by itself; in training all at once, with gradients."""
    frames1, frames2, passes, _ = scene()
    start, shares = Arbiter().settle(frames1, frames2, passes)
    trained = network(frames1, frames2, passes, TRAITS, start, shares)
    used = judged(network, frames1, frames2, passes)
    for one, two in zip(trained, used):
        torch.testing.assert_close(one.detach(), two, atol=1e-5, rtol=1e-5)


def test_a_pass_that_is_not_finite_has_no_say(network):
    frames1, frames2, passes, truth = scene()
    passes[1, :, :, :, :9] = float('nan')
    passes[3, 0, 0, 5, 5] = float('inf')
    found = judged(network, frames1, frames2, passes)
    assert all(part.isfinite().all() for part in found)
    assert (found.motion - truth).norm(dim=1).mean() < 1
    passes[:, :, :, 10:12] = float('nan')
    found = judged(network, frames1, frames2, passes)
    assert found.motion[:, :, 10:12].isnan().all()


def test_evidence_tells_the_wrong_pass_from_the_right_one():
    frames1, frames2, _, truth = scene()
    passes = torch.stack([truth, truth + 4.])
    start, shares = Arbiter().settle(frames1, frames2, passes)
    evidence = gather(frames1, frames2, passes, TRAITS[:2], start, shares).evidence
    assert evidence.shape == (2 + len(REGISTERED), 2, CHANNELS, *SIZE) and evidence.isfinite().all()
    apart, trip, census, colors = (evidence[:2, :, channel, 10:-10, 10:-10].mean(dim=(1, 2, 3))
                                   for channel in (2, 6, 9, 13))
    for one, other in (apart, census, colors):
        assert one < other / 2
    assert trip[0] < 1e-4


def learner(**settings):
    torch.manual_seed(0)
    return VerifierLearner(PassVerifier(**SMALL), **settings)


def batch(count=2, size=(32, 40)):
    """Pairs of which the last pass is right in the left half and far off in the right one, and the first the other way
    round; nothing but the difference of colours and round trips tells."""
    found = []
    for seed in range(count):
        frames1, frames2, passes, truth = scene(3, size, seed)
        passes[0, :, :, :, :20] += 3 * torch.randn(2, 1, 1, 20)
        passes[2, :, :, :, 20:] += 3 * torch.randn(2, 1, 1, 20)
        found.append(dict(inputs=torch.stack([frames1[0], frames2[0]]), passes=passes, traits=TRAITS[:3], truth=truth,
                          known=torch.ones(2, *size, dtype=torch.bool)))
    return {name: torch.stack([one[name] for one in found]) for name in found[0]}


def test_it_learns_to_do_better_than_the_arbiter():
    model, data = learner(drop=0.), batch()
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    losses = []
    for _ in range(20):
        found = model(**data, mode='loss')
        optimizer.zero_grad()
        sum(value for name, value in found.items() if 'loss' in name).backward()
        optimizer.step()
        losses.append({name: float(value.detach()) for name, value in found.items()})
    assert losses[-1]['loss_motion'] < 0.9 * losses[0]['loss_motion']
    assert losses[-1]['loss_error'] < losses[0]['loss_error'] and losses[-1]['loss_sure'] < losses[0]['loss_sure']
    assert losses[-1]['against_arbiter'] < 0.9


def test_what_is_not_known_is_not_learned():
    model, data = learner(drop=0.), batch()
    data['known'][0, 1] = False  # as the way back of a warped frame
    data['known'][1, :, 20:] = False
    before = model(**data, mode='loss')
    data['truth'][0, 1] += 50.
    data['truth'][1, :, :, 20:] = float('nan')
    after = model(**data, mode='loss')
    for name, value in before.items():
        assert value.isfinite() and torch.equal(value, after[name]), name
    sum(after.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_passes_are_dropped_now_and_then():
    model, data = learner(drop=1.), batch()
    seen = []
    model.estimator.forward, plain = (lambda *args: seen.append(len(args[2])) or plain(*args)), model.estimator.forward
    for _ in range(12):
        model(**data, mode='loss')
    assert set(seen) == {1, 2, 3}
    model(**data)
    assert seen[-1] == 3  # in use all of them


def test_it_is_a_judge_and_refuses_what_is_not():
    assert isinstance(learner(), PassJudge)
    with pytest.raises(ConfigError, match='PassVerifier'):
        VerifierLearner(torch.nn.Conv2d(3, 3, 3))
    with pytest.raises(ConfigError, match='model.drop'):
        learner(drop=2.)
    data = batch()
    data['traits'][1] = 9.
    with pytest.raises(ValueError, match='one kind'):
        learner()(**data, mode='loss')
    with pytest.raises(ValueError, match="'loss' or 'tensor'"):
        learner()(**batch(), mode='predict')
