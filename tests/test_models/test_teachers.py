"""Where the teacher of a round comes from."""
import numpy as np
import pytest
import torch
from mmengine.config import Config
from small_runs import ROOT
from torch import nn

from mmrefine.compat.config_names import config_file
from mmrefine.config.load import load_config
from mmrefine.errors import CheckpointError, ConfigError, InputError, TeacherError
from mmrefine.fileio import LabelStore, write_flow
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.labeling import FlowLabeler
from mmrefine.models import FlowRefiner, FrozenTeacher, StudentAverage
from mmrefine.models.teachers.stored_motion import FAR
from mmrefine.registry import TEACHERS
from mmrefine.structures import FlowLabel, LabelBatch, LabelUnit


class Point(nn.Module):
    """One weight and one buffer."""

    def __init__(self, weight=0., buffer=0.):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([float(weight)]))
        self.register_buffer('buffer', torch.tensor([float(buffer)]))


def moved(source, student, weights):
    """The averages after the student was moved by hand to these weights, its buffer to ten times as much."""
    source.start(student)
    found = []
    for step, weight in enumerate(weights, start=1):
        student.weight.data.fill_(weight)
        student.buffer.fill_(10 * weight)
        source.update(student, step)
        found.append((float(source.average.module.weight), float(source.average.module.buffer)))
    return found


def test_the_average_of_a_student_that_jumps_once_approaches_it_geometrically():
    found = moved(StudentAverage(momentum=.25), Point(), [8.] * 5)
    assert [weight for weight, _ in found] == pytest.approx([8. * (1 - .75**step) for step in range(1, 6)])
    assert [buffer for _, buffer in found] == [80.] * 5  # taken over


@pytest.mark.parametrize('warmup', [0, 1, 3, 9])
def test_in_the_warm_up_the_average_is_the_student_and_then_goes_on_from_it(warmup):
    weights = [1., 5., 2., 7., 4.]
    wanted, average = [], 0.
    for step, weight in enumerate(weights, start=1):
        average = weight if step <= warmup else .75 * average + .25 * weight
        wanted.append(average)
    assert [weight for weight,
            _ in moved(StudentAverage(momentum=.25, warmup=warmup), Point(), weights)] == pytest.approx(wanted)


def test_buffers_are_averaged_where_that_is_asked_for():
    found = moved(StudentAverage(momentum=.5, update_buffers=True), Point(), [4., 4.])
    assert found == [(2., 20.), (3., 30.)]


def test_an_average_that_goes_on_from_its_state_is_the_one_that_was_never_stopped():
    weights = [1., 5., 2., 7., 4., 3.]
    whole = moved(StudentAverage(momentum=.3, warmup=2), Point(), weights)
    for stop in range(1, 6):
        first, second, student = StudentAverage(momentum=.3, warmup=2), StudentAverage(momentum=.3, warmup=2), Point()
        moved(first, student, weights[:stop])
        state = {key: value.clone() for key, value in first.state_dict().items()}
        second.start(student)
        second.load_state_dict(state)
        for step, weight in enumerate(weights[stop:], start=stop + 1):
            student.weight.data.fill_(weight)
            second.update(student, step)
        assert float(second.average.module.weight) == whole[-1][0]


def test_the_average_labels_with_its_own_weights_frozen_and_leaves_the_student_alone(build_raft):
    student = build_raft()
    source = StudentAverage(momentum=.5)
    source.start(student)
    before = [value.clone() for value in student.parameters()]
    for value in student.parameters():
        value.data += 1.
    source.update(student, 1)
    teacher = source.frozen(student)
    assert isinstance(teacher, FrozenTeacher) and not any(value.requires_grad for value in teacher.parameters())
    for old, average, new in zip(before, teacher.refiner.parameters(), student.parameters()):
        assert torch.allclose(average, old + .5, atol=1e-6) and torch.equal(new, old + 1.)
    digest = teacher.digest()
    source.update(student, 2)
    assert teacher.digest() == digest != source.frozen(student).digest()


def test_the_average_of_a_training_that_has_not_begun_is_the_student(build_raft):
    student = build_raft()
    assert StudentAverage().frozen(student).digest() == FrozenTeacher(student).digest()


@pytest.mark.parametrize('config, message', [
    (dict(type='StudentAverage', momentum=0.),
     r'StudentAverage\.momentum must lie in \(0, 1\), such as 0\.02, got 0\.0'),
    (dict(type='StudentAverage', momentum=1), r'momentum must lie in \(0, 1\)'),
    (dict(type='StudentAverage', warmup=-1), r'StudentAverage\.warmup must be a whole number, at least 0, got -1'),
    (dict(type='StudentAverage', update_buffers='x'), r'StudentAverage\.update_buffers must be True or False'),
    (dict(type='StudentCopy', dtype='int8'), r"'float32' or 'bfloat16', got 'int8'"),
    (dict(type='OtherNetwork', checkpoint='x.pth'), 'OtherNetwork cannot be built'),
    (dict(type='StudentAverge'), 'did you mean StudentAverage'),
])
def test_a_source_that_is_configured_wrongly_is_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        TEACHERS.build(config)


def test_another_network_teaches_with_its_own_weights_in_every_round_and_draws_no_random_numbers(build_raft,
                                                                                                 raft_config, tmp_path):
    student, other = build_raft(), build_raft()
    for value in other.estimator.parameters():
        value.data *= 1.5
    save_checkpoint(tmp_path / 'other.pth', dict(state_dict=other.estimator.state_dict(), meta={}))
    model = dict(type='FlowRefiner', estimator=raft_config)
    source = TEACHERS.build(dict(type='OtherNetwork', model=model, checkpoint=str(tmp_path / 'other.pth')))
    before = torch.get_rng_state()
    teacher = source.frozen(student)
    assert torch.equal(torch.get_rng_state(), before) and source.frozen(student) is teacher
    assert teacher.digest() == FrozenTeacher(other).digest() != FrozenTeacher(student).digest()
    with pytest.raises(CheckpointError, match='gone.pth'):
        TEACHERS.build(dict(type='OtherNetwork', model=model, checkpoint=str(tmp_path / 'gone.pth'))).frozen(student)


def test_another_network_may_be_named_as_the_command_names_it(build_raft, tmp_path):
    weights = str(ROOT / 'configs/demo/raft_small_source.pth')
    model = load_config(ROOT / 'configs/demo/raft_small_video.py').model.to_dict()
    digests = set()
    for named in ('demo', 'demo/raft_small_video.py', 'mmrefine::demo/raft_small_video.py', model):
        source = TEACHERS.build(dict(type='OtherNetwork', model=named, checkpoint=weights))
        teacher = source.frozen(build_raft())
        digests.add((teacher.digest(), str(teacher.describe())))
        assert teacher.describe()['iters'] == 8
        assert teacher.memory_settings()[0].startswith('teacher.model.max_corr_bytes')
        name = 'RAFT' if named is model else named
        assert source.name == f'{name} with the weights of raft_small_source.pth'
    assert len(digests) == 1
    with pytest.raises(ConfigError, match='raft_smal: there is no such model or config file; did you mean raft_small?'):
        TEACHERS.build(dict(type='OtherNetwork', model='raft_smal', checkpoint=weights)).network()
    (tmp_path / 'data.py').write_text('step = 2\n')
    with pytest.raises(ConfigError, match=r'data\.py: has no model with a type, so it names no network'):
        TEACHERS.build(dict(type='OtherNetwork', model=str(tmp_path / 'data.py'), checkpoint=weights)).network()


def test_a_stock_config_names_the_network_alone(build_raft, tmp_path):
    torch.manual_seed(1)
    stock = 'mmflow::pwcnet/pwcnet_8xb1_slong_flyingchairs-384x448.py'
    model = Config.fromfile(config_file(stock)).model.to_dict()
    network = FlowRefiner(estimator=model)
    save_checkpoint(tmp_path / 'pwc.pth', dict(state_dict=network.estimator.state_dict(), meta={}))
    source = TEACHERS.build(dict(type='OtherNetwork', model=stock, checkpoint=str(tmp_path / 'pwc.pth')))
    assert source.frozen(build_raft()).digest() == FrozenTeacher(network).digest()


@pytest.mark.parametrize('model, message', [
    ({}, 'a model must be a dict with a type'),
    (dict(type='FlowRefner'), "there is no model 'FlowRefner'; did you mean FlowRefiner"),
    (dict(type='FlowRefiner'), "the model FlowRefiner cannot be built from .*'estimator'"),
])
def test_another_network_that_cannot_be_built_is_a_mistake_in_the_config(build_raft, model, message):
    with pytest.raises(ConfigError, match=message):
        TEACHERS.build(dict(type='OtherNetwork', model=model, checkpoint='x.pth')).frozen(build_raft())


FRAMES = np.random.default_rng(0).integers(0, 256, (2, 12, 16, 3), dtype=np.uint8)
UNIT = LabelUnit('cat/a__b', 'cat', (0, 1), ('a', 'b'))
BATCH = LabelBatch([UNIT], [dict(enumerate(FRAMES))], [{0: 'a', 1: 'b'}])


def motion(x, y):
    return np.broadcast_to(np.float32([x, y]), (12, 16, 2)).copy()


@pytest.mark.parametrize('suffix', ['.flo', '.png', '.pfm'])
def test_stored_motion_becomes_the_labels_and_what_is_not_known_is_never_kept(tmp_path, suffix):
    known = np.ones((12, 16), bool)
    known[:4] = False
    write_flow(tmp_path / f'cat/a__b{suffix}', motion(2, 1), known)
    write_flow(tmp_path / f'cat/b__a{suffix}', motion(-2, -1))
    teacher = TEACHERS.build(dict(type='StoredMotion', root=str(tmp_path))).frozen(nn.Module())
    labeler = FlowLabeler(view=dict(type='CascadeView', scales=(1., )), filters=[dict(type='CycleFilter')],
                          directions='both')
    forward, backward = labeler.label(teacher, BATCH)
    assert (forward.key, backward.key) == ('cat/a__b', 'cat/b__a')
    inside = known.copy()
    inside[-1], inside[:, -2:] = False, False
    assert np.array_equal(forward.label.weight[0].numpy() > 0, inside)
    assert (forward.label.flow[:, torch.from_numpy(inside)].T == torch.tensor([2., 1.])).all()
    assert float(forward.label.flow[:, 0, 0].norm()) > FAR and (backward.label.flow[0] == -2.).all()


def test_a_label_store_teaches_what_it_holds_and_its_digest_is_that_of_its_files(tmp_path):
    weight = torch.ones(1, 12, 16)
    weight[:, 0] = 0.
    for name, x in (('one', 2.), ('two', 3.)):
        store = LabelStore(tmp_path / name, dict(made='by hand'))
        store.create()
        for key, sign in (('cat/a__b', 1.), ('cat/b__a', -1.)):
            store.write(key, FlowLabel(sign * x * torch.ones(2, 12, 16), weight), dict(kept=1.))
        store.finish(['cat/a__b', 'cat/b__a'])
    one, two = (TEACHERS.build(dict(type='StoredMotion', root=str(tmp_path / name))).frozen(nn.Module())
                for name in ('one', 'two'))
    again = TEACHERS.build(dict(type='StoredMotion', root=str(tmp_path / 'one'))).frozen(nn.Module())
    assert one.digest() == again.digest() != two.digest()
    forward, backward = one.estimate_both(torch.zeros(1, 3, 12, 16), torch.zeros(1, 3, 12, 16),
                                          names=(['cat/a'], ['cat/b']))
    assert (forward[0, :, 1:] == 2.).all() and (backward[0, :, 1:] == -2.).all() and (forward[0, :, 0] == FAR).all()


def test_motion_that_is_not_there_or_does_not_fit_is_named(tmp_path):
    with pytest.raises(InputError, match=r'holds no flow .*StoredMotion\.root is a label store, a folder that'):
        TEACHERS.build(dict(type='StoredMotion', root=str(tmp_path / 'gone'))).frozen(nn.Module())
    write_flow(tmp_path / 'cat/a__b.flo', motion(2, 1))
    teacher = TEACHERS.build(dict(type='StoredMotion', root=str(tmp_path))).frozen(nn.Module())
    plain = dict(type='CascadeView', scales=(1., ))
    with pytest.raises(InputError,
                       match=r'has no motion of cat/b__a; store the motion of each pair .* in both directions'):
        FlowLabeler(view=plain).label(teacher, BATCH)
    write_flow(tmp_path / 'cat/b__a.flo', motion(-2, -1))
    teacher = TEACHERS.build(dict(type='StoredMotion', root=str(tmp_path))).frozen(nn.Module())
    for view in (dict(type='CascadeView', scales=(2., )), dict(type='ArbitratedView', scales=(1., ), flip=True)):
        with pytest.raises(TeacherError,
                           match=r"fits its frames only as they are.*labeler\.view=dict\(type='CascadeView'"):
            FlowLabeler(view=view).label(teacher, BATCH)
    with pytest.raises(ConfigError, match=r'labeler\.view\.iters=3: stored motion does not iterate'):
        FlowLabeler(view=dict(plain, iters=3)).label(teacher, BATCH)
