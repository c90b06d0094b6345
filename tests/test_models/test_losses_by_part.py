"""In a mixed training each part has a mean of its own, its weight, and its share of the batch."""
from __future__ import annotations

import pytest
import torch
from small_runs import SIZE, small_model

from mmrefine.models import FlowRefiner, MaskedPyramidLoss, MaskedSequenceLoss
from mmrefine.models.losses.parts import is_mixed, losses_by_part
from mmrefine.structures import FlowOutputs, FlowSample, MixedPart

NAMES = ('labelled', 'unlabelled')


def sample(name='labelled', loss_weight=1., weight=1., size=SIZE, seed=0, **more):
    """A label ``(3, 0)`` px everywhere, of one weight, or with ``noise=True`` of random motion."""
    made = FlowSample(flow=torch.tensor([3., 0.]).view(2, 1, 1).expand(2, *size).clone(),
                      weight=torch.full((1, *size), weight))
    if more.get('noise'):
        made.flow = torch.randn(2, *size, generator=torch.Generator().manual_seed(seed))
    if name is not None:
        made.set_metainfo(dict(part=MixedPart(name, loss_weight, NAMES)))
    return made


def outputs_of(errors):
    """A flow for each pair that misses the label by so many px to the right."""
    flow = torch.zeros(len(errors), 2, *SIZE)
    flow[:, 0] = 3. + torch.tensor(errors).view(-1, 1, 1)
    frames = torch.rand(len(errors), 3, *SIZE)
    return FlowOutputs([flow.requires_grad_()], frames, frames)


def losses_of(*losses):
    return lambda outputs, target: {f'loss_{k}': loss(outputs, target) for k, loss in enumerate(losses)}


def no_figures(outputs, target):
    return {}


@pytest.mark.parametrize('loss', [MaskedSequenceLoss(), MaskedPyramidLoss(weights=(1., ))])
@pytest.mark.parametrize('density', [1., 0.01])
def test_a_part_counts_by_weight_and_share_and_not_by_the_density_of_its_labels(loss, density):
    samples = [sample(), sample('unlabelled', 0.5, density), sample(), sample()]
    found = losses_by_part(losses_of(loss), no_figures, outputs_of([1., 8., 2., 3.]), samples)
    # 3 of 4 pairs miss by 2 px on average, 1 of 4 by 8 px, which counts half
    assert found['loss_0'].item() == pytest.approx(0.75 * 2. + 0.5 * 0.25 * 8., rel=1e-5)
    assert (found['share_labelled'].item(), found['share_unlabelled'].item()) == (0.75, 0.25)


def test_every_loss_sees_the_pairs_of_one_part_with_all_that_the_network_found():
    seen = []

    def record(outputs, target):
        seen.append((outputs, target))
        return dict(loss=outputs.frames1.sum())

    flow, frames = torch.arange(3.).view(3, 1, 1, 1).expand(3, 2, 4, 4), torch.arange(3.).view(3, 1, 1, 1)
    whole = FlowOutputs([flow], frames, frames + 10, [flow + 20], (frames + 30, frames + 40), (1, 2, 3, 4))
    samples = [sample('unlabelled', size=(4, 4)), sample(size=(4, 4)), sample('unlabelled', size=(4, 4), weight=0.5)]
    losses_by_part(record, no_figures, whole, samples)
    (some, target), (one, _) = seen
    assert [float(part.flatten()[-1]) for part in (some.flows[0], some.frames1, some.frames2, some.flows_bw[0],
                                                   *some.features)] == [2., 2., 12., 22., 32., 42.]
    assert len(some.frames1) == 2 and some.padding == (1, 2, 3, 4) and float(one.frames1) == 1.
    assert target.weight[:, 0, 0, 0].tolist() == [1., 0.5]


@pytest.fixture(scope='module')
def refiner():
    torch.manual_seed(3)
    return FlowRefiner(**{key: value for key, value in small_model().items() if key != 'type'})


def gradients(refiner, inputs, samples):
    refiner.zero_grad()
    found = refiner(inputs, samples, mode='loss')
    found['loss_masked_sequence'].backward()
    return found, [parameter.grad.clone() for parameter in refiner.parameters()]


def test_one_part_alone_is_training_without_parts_to_the_bit(refiner):
    inputs = torch.rand(2, 2, 3, *SIZE)
    plain, wanted = gradients(refiner, inputs, [sample(None, noise=True), sample(None, noise=True, seed=1)])
    parted, found = gradients(refiner, inputs, [sample(noise=True), sample(noise=True, seed=1)])
    assert all(map(torch.equal, found, wanted))
    assert {name: value for name, value in parted.items() if name in plain} == plain
    assert set(parted) - set(plain) == {'epe_to_label_labelled', 'label_share_labelled', 'share_labelled',
                                        'share_unlabelled'}
    assert parted['share_unlabelled'] == 0 and parted['epe_to_label_labelled'] == plain['epe_to_label']
    assert sum('loss' in name for name in parted) == 1  # MMEngine adds up what has it in its name


def test_a_part_of_weight_0_has_no_influence_on_the_gradients(refiner):
    inputs = torch.rand(3, 2, 3, *SIZE)
    samples = [sample(noise=True), sample(noise=True, seed=1)]
    found = [gradients(refiner, torch.cat([inputs[:2], other]),
                       [*samples, sample('unlabelled', 0., noise=True, seed=k)])
             for k, other in ((2, inputs[2:]), (3, torch.rand(1, 2, 3, *SIZE)))]
    assert all(map(torch.equal, found[0][1], found[1][1]))
    _, alone = gradients(refiner, inputs[:2], samples)
    for one, grad in zip(found[0][1], alone):  # two of three pairs
        torch.testing.assert_close(one, 2 / 3 * grad, rtol=1e-3, atol=1e-6)
    _, silent = gradients(refiner, inputs[2:], [sample('unlabelled', 0., noise=True)])
    assert not any(bool(grad.any()) for grad in silent)  # a batch of it alone is a step without a gradient


def test_figures_are_logged_by_part(refiner):
    inputs = torch.rand(2, 2, 3, *SIZE)
    found, _ = gradients(refiner, inputs, [sample(), sample('unlabelled', 1., 0.25)])
    assert found['label_share_labelled'] == 1 and found['label_share_unlabelled'] == 0.25
    assert found['label_share'] == 0.625 and found['share_labelled'] == found['share_unlabelled'] == 0.5


def test_batches_without_parts_are_not_mixed():
    assert not is_mixed([]) and not is_mixed([sample(None)]) and is_mixed([sample(), sample('unlabelled')])
