"""A folder of flow as a teacher: what ``mmrefine flow`` or another program wrote."""
from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from helpers_cli import DEMO_WEIGHTS, SIZE, error_of, rendered, status_of

from mmrefine.apis import label_video
from mmrefine.errors import ConfigError
from mmrefine.fileio import LabelStore, write_flow
from mmrefine.fileio.images import write_image

ITERS = 2
ONCE = {'labeler.view.scales': (1., ), 'labeler.balance': None, 'model.test_iters': ITERS}
RUN = ['--steps', '1', '--batch-size', '1', '--workers', '0', '--set', 'model.train_iters=1', 'model.test_iters=1',
       f'crop_size={SIZE}'.replace(' ', ''), 'held_out=0']


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    """A folder of four rendered frames."""
    return rendered(tmp_path_factory.mktemp('clip'), 4)


@pytest.fixture(scope='module')
def flows(clip, tmp_path_factory):
    """The flow of the demo's network in three formats, and once without the way back."""
    root = tmp_path_factory.mktemp('flows')
    for format in ('flo', 'png', 'npz'):
        assert status_of('flow', clip, '--model', 'demo', '--iters', ITERS, '--out', root / format, '--format', format,
                         '--no-video', '--backward') == 0
    assert status_of('flow', clip, '--model', 'demo', '--iters', ITERS, '--out', root / 'forth', '--format', 'flo',
                     '--no-video') == 0
    return root


def labels_of(clip, out, teacher=None, **values):
    root, = label_video(clip, 'demo', out, teacher=teacher, held_out=0, **values)
    store = LabelStore.open(root)
    return store, {key: store.read(key) for key in store.keys()}


def test_flow_of_the_command_gives_the_labels_that_its_network_gives_in_one_pass(clip, flows, tmp_path):
    files = sorted(path.name for path in (flows / 'flo/backward').iterdir())
    assert files == [f'frame_000{i}.flo' for i in (2, 3, 4)]  # named by where the motion begins
    # the same labeler, and the network itself
    filters = [dict(type='CutGuard'), dict(type='CycleFilter', alpha=.01, beta=.5), dict(type='CensusFilter')]
    _, wanted = labels_of(clip, tmp_path / 'network', **ONCE, **{'labeler.filters': filters})
    assert len(wanted) == 6 and sum(float(label.weight.mean()) for label in wanted.values()) > .1
    for format in ('flo', 'npz', 'png'):
        store, found = labels_of(clip, tmp_path / format, flows / format)
        assert store.manifest['extra']['labelled_by'] == f'the motion in the folder {format}'
        assert found.keys() == wanted.keys()
        for key, label in found.items():
            if format != 'png':
                assert torch.equal(label.flow, wanted[key].flow) and torch.equal(label.weight, wanted[key].weight)
            else:  # steps of 1/64 px, by which a check may be missed or met
                both = (label.weight > 0) & (wanted[key].weight > 0)
                assert float((label.flow - wanted[key].flow).abs()[both.expand(2, -1, -1)].max()) <= 1 / 64
                assert float(((label.weight > 0) != (wanted[key].weight > 0)).float().mean()) < .05


def test_without_the_way_back_what_looks_the_same_counts_and_a_network_learns_from_it(clip, flows, tmp_path, capsys):
    out = tmp_path / 'out'
    assert status_of('refine', clip, '--model', 'demo', '--out', out, '--teacher', flows / 'forth', *RUN) == 0
    assert 'labelled by: the motion in the folder forth\n' in capsys.readouterr().out
    store = LabelStore.open(out / 'labels')
    assert store.keys() == [f'{clip.name}/frame_000{i}__frame_000{i + 1}' for i in (1, 2, 3)]
    filters = [dict(type='CutGuard'), dict(type='CensusFilter')]
    _, wanted = labels_of(clip, tmp_path / 'network', **ONCE, **{'labeler.filters': filters,
                                                                 'labeler.directions': 'forward'})
    for key in store.keys():
        label = store.read(key)
        assert torch.equal(label.flow, wanted[key].flow) and torch.equal(label.weight, wanted[key].weight)
        assert float(label.weight.mean()) > .05


def test_motion_that_a_folder_leaves_unknown_is_neither_fast_nor_a_long_way_back(clip, flows, tmp_path):
    """As mmrefine flow --max-error writes it: a tenth of each frame is unknown."""
    folder = tmp_path / 'some'
    shutil.copytree(flows / 'npz', folder)
    for path in sorted(folder.rglob('*.npz')):
        flow = np.load(path)['flow']
        flow[:, :flow.shape[1] // 10] = np.nan
        np.savez(path, flow=flow)
    wanted, found = (labels_of(clip, tmp_path / f'of_{root.name}', root)[0].manifest['pairs']
                     for root in (flows / 'npz', folder))
    for key, stats in found.items():
        assert stats['speed_32+_pixels'] <= wanted[key]['speed_32+_pixels']
        assert stats['cycle_error_mean'] < 3 * wanted[key]['cycle_error_mean'] + 1


def test_a_round_trip_is_not_asked_of_motion_that_has_none(clip, flows, tmp_path, capsys):
    for key, value, named in (('directions', 'both', "directions='both'"),
                              ('filters', [dict(type='SoftCycleFilter')], 'SoftCycleFilter')):
        with pytest.raises(ConfigError) as caught:
            labels_of(clip, tmp_path / key, flows / 'forth', **{f'labeler.{key}': value})
        assert str(caught.value).startswith(
            f'{flows}/forth: has no motion backwards, and the labeler has {named}; add it')
        assert not LabelStore(tmp_path / key / 'labels', {}).keys()
    sentence = error_of(capsys, 'labels', clip, '--model', 'demo', '--out', tmp_path / 'b', '--teacher', flows / 'flo',
                        '--set', 'held_out=0', 'labeler.view.scales=(1.,2.)')
    assert 'stored motion fits its frames only as they are' in sentence and 'labeler.balance=None' in sentence


def damaged(path, what):
    """Change a flow file."""
    if what == 'missing':
        path.unlink()
    elif what == 'size':
        write_flow(path, np.zeros((SIZE[0] + 1, SIZE[1], 2), np.float32))
    elif what == 'nan':
        write_flow(path, np.full((*SIZE, 2), np.nan, np.float32))
    else:
        path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize('what, said', [
    ('missing', ': has no motion of {}'),
    ('size', ': the motion of {} is 49x64 px, and its frames are 48x64 px'),
    ('nan', ': the motion of {} is unknown, such as nan, in all of its pixels'),
    ('cut', '/{}.flo: not a readable .flo flow (truncated: '),
])
@pytest.mark.parametrize('way, second', [('flow/frame_0002', '{}/frame_0002__frame_0003'),
                                         ('backward/frame_0003', '{}/frame_0003__frame_0002')])
def test_a_file_that_is_not_as_it_must_be_is_named_before_the_first_label(clip, flows, tmp_path, capsys, what, said,
                                                                          way, second):
    folder = shutil.copytree(flows / 'flo', tmp_path / 'flo')
    damaged(folder / f'{way}.flo', what)
    sentence = error_of(capsys, 'labels', clip, '--model', 'demo', '--out', tmp_path / 'out', '--teacher', folder,
                        '--set', 'held_out=0')
    assert sentence.startswith(f'{folder}{said.format(way if what == "cut" else second.format(clip.name))}')
    assert not (tmp_path / 'out/labels').exists()
    if what == 'missing':
        (folder / 'flow/frame_0001.flo').unlink()
        (folder / 'flow/frame_0003.flo').unlink()
        assert ' (and 2 more like it); store the motion' in error_of(
            capsys, 'labels', clip, '--model', 'demo', '--out', tmp_path / 'out', '--teacher', folder, '--set',
            'held_out=0')


@pytest.mark.parametrize('teachers', [('FOLDER', ), ('self', 'FOLDER')])
def test_a_dry_run_reads_the_files_and_forecasts_what_is_computed(clip, flows, tmp_path, capsys, teachers):
    folder = shutil.copytree(flows / 'flo', tmp_path / 'flo')
    options = [part for one in teachers for part in ('--teacher', folder if one == 'FOLDER' else one)]
    command = ['refine', clip, '--model', 'demo', '--out', tmp_path / 'out', *options, '--dry-run', *RUN]
    assert status_of(*command) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith('forecast: '))
    assert ('labels 0 s' if teachers == ('FOLDER', ) else 'labels ') in line and 'training' in line
    damaged(folder / 'flow/frame_0002.flo', 'missing')
    assert f'{folder}: has no motion of {clip.name}/frame_0002__frame_0003' in error_of(capsys, *command)


def test_files_of_several_scenes_are_named_by_scene_and_frame_as_many_programs_do(clip, flows, tmp_path):
    other = rendered(tmp_path / 'videos', 4, seed=2)
    shutil.copytree(clip, other.parent / clip.name)
    for scene in (other.name, clip.name):
        shutil.copytree(flows / 'flo/flow', tmp_path / 'theirs' / scene)
    found, _ = labels_of(other.parent, tmp_path / 'out', tmp_path / 'theirs')
    wanted, _ = labels_of(clip, tmp_path / 'one', flows / 'forth')
    assert len(found.keys()) == 6
    for key in wanted.keys():
        assert torch.equal(found.read(key).flow, wanted.read(key).flow)


def test_motion_from_a_frame_to_the_next_is_not_taken_for_that_over_two_frames(clip, flows, tmp_path, capsys):
    def refused(folder, *options):
        return error_of(capsys, 'labels', clip, '--model', 'demo', '--out', tmp_path / 'out', '--teacher', folder,
                        *options, '--set', 'held_out=0')

    pair = f'{clip.name}/frame_0001__frame_0003'
    said = refused(flows / 'flo', '--stride', '2')
    assert said.startswith(f'{flows}/flo: has no motion of {pair}, looked for by the names {pair}, frame_0001__frame_'
                           '0003 with any suffix of flow, and not by a single frame, as such files are of neighbours '
                           'with the stride 1 (and 1 more like it); store')
    far = tmp_path / 'far'
    assert status_of('flow', clip, '--model', 'demo', '--iters', ITERS, '--out', far, '--format', 'flo', '--no-video',
                     '--backward', '--stride', '2') == 0
    found, _ = labels_of(clip, tmp_path / 'far_labels', far, reading=dict(stride=2))
    assert found.keys() == [pair, f'{clip.name}/frame_0003__frame_0001']
    # a wrong file is worse than none
    assert 'as such files are of neighbours with the stride 2' in refused(far)
    for way in ('frame_0001__frame_0003', 'frame_0003__frame_0001'):
        shutil.copy(far / ('flow' if way < 'frame_0002' else 'backward') / f'{way[:10]}.flo', flows.parent / 'x.flo')
        (tmp_path / 'named').mkdir(exist_ok=True)
        shutil.move(flows.parent / 'x.flo', tmp_path / 'named' / f'{way}.flo')
    again, _ = labels_of(clip, tmp_path / 'named_labels', tmp_path / 'named', reading=dict(stride=2))
    assert torch.equal(again.read(pair).flow, found.read(pair).flow)


@pytest.mark.parametrize('mistake', ['none', 'x and y', 'frames'])
def test_flow_that_is_not_that_of_the_frames_is_noticed(clip, flows, tmp_path, capsys, mistake):
    folder = shutil.copytree(flows / 'npz', tmp_path / 'flows')
    if mistake == 'frames':
        for i in (1, 2, 3):
            (folder / f'flow/frame_000{i}.npz').rename(folder / 'x.npz')
            (folder / f'backward/frame_000{i + 1}.npz').rename(folder / f'flow/frame_000{i}.npz')
            (folder / 'x.npz').rename(folder / f'backward/frame_000{i + 1}.npz')
    for path in sorted(folder.rglob('*.npz')) if mistake == 'x and y' else []:
        np.savez(path, flow=np.load(path)['flow'][..., ::-1])
    assert status_of('labels', clip, '--model', 'demo', '--out', tmp_path / 'out', '--teacher', folder, '--set',
                     'held_out=0') == 0
    said = capsys.readouterr().out
    assert ('times as much along the motion as in place; is it that of these frames' in said) == (mistake != 'none')


def test_a_picture_beside_flow_is_no_flow_and_two_files_of_flow_are_refused(clip, flows, tmp_path, capsys):
    folder = shutil.copytree(flows / 'flo', tmp_path / 'flo')
    for path in sorted(folder.glob('*/frame_*.flo')):
        write_image(path.with_suffix('.png'), np.zeros((*SIZE, 3), np.uint8))  # of its colours
    found, wanted = (labels_of(clip, tmp_path / f'of_{root.parent.name}', root)[1] for root in (folder, flows / 'flo'))
    assert all(torch.equal(found[key].flow, wanted[key].flow) for key in wanted)
    shutil.copy(flows / 'png/flow/frame_0002.png', folder / 'flow')
    assert error_of(capsys, 'labels', clip, '--model', 'demo', '--out', tmp_path / 'out', '--teacher', folder) == (
        f'{folder}/flow/frame_0002: is there as .flo and as .png, and only one of them can be the motion; move the '
        'other one out of the folder')


def test_what_is_no_folder_of_flow_is_one_sentence(clip, flows, tmp_path, capsys):
    def said(*options):
        return error_of(capsys, 'labels', clip, '--out', tmp_path / 'out', *options)

    (tmp_path / 'empty').mkdir()
    assert said('--model', 'demo', '--teacher', tmp_path / 'empty').startswith(
        f'{tmp_path}/empty: holds no flow (.flo, .png, .pfm, .flo5, .npz); StoredMotion.root is')
    assert said('--model', 'pips_demo', '--teacher', flows / 'flo').endswith('follows points; name a tracker')
    assert 'which has no weights; leave it out' in said('--model', 'demo', '--teacher', flows / 'flo',
                                                        '--teacher-checkpoint', DEMO_WEIGHTS)
    labels_of(clip, tmp_path / 'labelled', flows / 'flo')
    assert said('--model', 'demo', '--teacher', tmp_path / 'labelled/labels').endswith('name it with --labels')
