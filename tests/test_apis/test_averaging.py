"""The mean of several networks."""
import pytest
import torch

from mmrefine.apis.average import average_checkpoints
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.errors import CheckpointError


def saved(path, **tensors):
    torch.save(dict(state_dict=tensors), path)
    return path


def test_the_mean_is_that_of_every_weight_and_counters_are_the_first_ones(tmp_path):
    paths = [saved(tmp_path / f'{i}.pth', weight=torch.tensor([value, 2 * value]), steps=torch.tensor(i))
             for i, value in enumerate((1., 2., 6.))]
    out = average_checkpoints(paths, tmp_path / 'mean.pth')
    found = load_checkpoint_file(out)
    assert found['state_dict']['weight'].tolist() == [3., 6.] and found['state_dict']['weight'].dtype == torch.float32
    assert found['state_dict']['steps'] == 0
    assert found['meta']['mean_of'] == [str(path) for path in paths]


def test_the_mean_of_a_network_with_itself_is_that_network(tmp_path):
    path = saved(tmp_path / 'one.pth', weight=torch.randn(100, generator=torch.Generator().manual_seed(0)))
    found = load_checkpoint_file(average_checkpoints([path] * 3, tmp_path / 'mean.pth'))
    assert torch.equal(found['state_dict']['weight'], load_checkpoint_file(path)['state_dict']['weight'])


@pytest.mark.parametrize('other, story', [
    (dict(weight=torch.zeros(3)), 'two.pth: its network is not that of .*one.pth .1 tensors differ.*such as weight'),
    (dict(weight=torch.zeros(2), bias=torch.zeros(1)), 'such as bias'),
])
def test_another_network_is_refused_and_nothing_is_written(tmp_path, other, story):
    one, two = saved(tmp_path / 'one.pth', weight=torch.zeros(2)), saved(tmp_path / 'two.pth', **other)
    with pytest.raises(CheckpointError, match=story):
        average_checkpoints([one, two], tmp_path / 'mean.pth')
    assert not (tmp_path / 'mean.pth').exists()


def test_what_features_were_learned_with_is_kept_and_must_be_one(tmp_path):
    paths = [tmp_path / f'{i}.pth' for i in range(3)]
    for path, radius in zip(paths, (6, 6, None)):
        torch.save(dict(state_dict=dict(weight=torch.zeros(2)), meta=dict(learned_with=dict(radius=radius))), path)
    out = average_checkpoints(paths[:2], tmp_path / 'mean.pth')
    assert load_checkpoint_file(out)['meta']['learned_with'] == dict(radius=6)
    with pytest.raises(CheckpointError, match="2.pth: was trained with {'radius': None}, and .*0.pth with .*6"):
        average_checkpoints(paths, tmp_path / 'mean.pth')


def test_one_checkpoint_has_no_mean(tmp_path):
    with pytest.raises(CheckpointError, match='two or more checkpoints, got 1'):
        average_checkpoints([saved(tmp_path / 'one.pth', weight=torch.zeros(2))], tmp_path / 'mean.pth')
