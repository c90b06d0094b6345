"""What stage 1 says that it will take, and what it refuses."""
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from small_runs import SIZE, files_of, in_two_processes, small_model

import mmrefine.engine.runtime.machine as machine_module
import mmrefine.models.raft_fast.two_way as two_way
from mmrefine.compat.cgroups import memory_limit
from mmrefine.datasets import FramePairs
from mmrefine.engine import label_fingerprint, make_labels
from mmrefine.engine.runtime.machine import Machine, resident_peak
from mmrefine.engine.stage1.forecast import Forecast, Measured, combined, expected_peak, forecast, size_text, time_text
from mmrefine.engine.stage1.outlook import Outlook, pass_bytes
from mmrefine.errors import ConfigError, LabelStoreError
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.labeling import FlowLabeler
from mmrefine.models import FlowRefiner, FrozenTeacher, load_estimator
from mmrefine.structures import LabelUnit, PairBatch
from mmrefine.synthetic import write_clips

PAIRS = 12


class Pretended(Machine):
    """A machine of given sizes, bytes; each look at its clock takes ``seconds``."""

    def __init__(self, seconds=60., free=10**12, resident=10**9, peaks=(10**9, 21 * 10**8), room=10**12):
        super().__init__()
        self.now, self.seconds = 0., seconds
        self.free, self.has, self.peaks, self.room = free, resident, list(peaks), room

    def clock(self):
        self.now += self.seconds
        return self.now

    def free_disk(self, folder):
        return self.free

    def resident(self):
        return self.has

    def peak(self):
        return self.peaks.pop(0) if len(self.peaks) > 1 else self.peaks[0]

    def capacity(self, processes=1):
        return self.room


def teacher_of(material, **changes):
    torch.set_num_threads(1)
    refiner = FlowRefiner(**{**{k: v for k, v in small_model().items() if k != 'type'}, **changes})
    load_estimator(refiner, material / 'start.pth')
    return FrozenTeacher(refiner)


def labeler_of(scales=(1., )):
    view = dict(type='CascadeView', scales=scales)
    return FlowLabeler(view=view, filters=[dict(type='CycleFilter', alpha=0.5, beta=2.)])


@pytest.fixture(scope='module')
def teacher(material):
    return teacher_of(material)


@pytest.fixture(scope='module')
def frames(tmp_path_factory):
    """One scene of 12 pairs."""
    root = tmp_path_factory.mktemp('frames')
    write_clips(root, seeds=(1, ), num_frames=PAIRS + 1, size=SIZE)
    return root / 'frames'


@pytest.fixture(scope='module')
def whole(teacher, frames, tmp_path_factory):
    """The files of a store that was made in one go on this machine, and what was logged."""
    root, lines = tmp_path_factory.mktemp('whole') / 'labels', []
    label(root, teacher, frames, log=lines.append, machine=None)
    return files_of(root), lines


def label(root, teacher, frames, machine, batch_size=1, log=lambda line: None):
    dataset, labeler = FramePairs(frames), labeler_of()
    store = LabelStore(root, label_fingerprint(teacher, labeler, dataset, '1'))
    return make_labels(teacher, labeler, dataset, store, batch_size, log=log, log_every=1e9, machine=machine)


class Scenes:
    """Scene -> size of its frames; all that an outlook asks a source of frames for."""

    def __init__(self, **sizes):
        self.sizes = sizes

    def size(self, scene):
        return self.sizes[scene]


def units(scene, count):
    return [LabelUnit(f'{scene}/{i}__{i + 1}', scene, (i, i + 1), (f'{i}', f'{i + 1}')) for i in range(count)]


TWO_SIZES = Scenes(a=(64, 96), b=(128, 192))
SEVEN = units('a', 3) + units('b', 4)  # 3 pairs of 64 x 96 px and 4 of twice the height and the width


def outlook_of(teacher, machine, batches, log=lambda line: None, source=TWO_SIZES):
    return Outlook(teacher, labeler_of(), source, LabelStore('labels', {}), batches, machine, log)


def test_time_and_disk_grow_with_the_pixels_and_the_first_batch_counts_in_no_rate_of_time():
    measured = [Measured(1, 100, 9., 50), Measured(1, 100, 2., 30), Measured(1, 100, 4., 40)]
    found = forecast(measured, [(1, 100)] * 7 + [(2, 400)], 7.)
    # (2 + 4) / 2 s for 100 px, 40 bytes for 100 px, 1100 px to come
    assert found == Forecast(pairs=12, pairs_left=9, seconds=pytest.approx(15 + 33),
                             disk_bytes=pytest.approx(120 + 440),
                             disk_left=pytest.approx(440), peak_bytes=7.)
    assert found.minutes == pytest.approx(.8)
    alone = forecast(measured[:1], [(1, 200)])
    assert (alone.seconds, alone.disk_bytes, alone.peak_bytes) == (27., 150., None)


@pytest.mark.parametrize('growth, pass_most, wanted', [
    (1., 200., 1000.),              # frames as before: what was measured
    (.5, 200., 1000.),              # smaller ones: no less
    (3., 200., 1000. + 2 * 400.),   # 400 of the 1000 grow: not the 400 that stay, nor the 200 of the correlation
    (3., 500., 1000. + 800. + 300.)
])
def test_of_the_peak_only_what_larger_frames_enlarge_grows(growth, pass_most, wanted):
    assert expected_peak(1000., 400., growth, 200., pass_most) == wanted


def test_a_peak_below_what_the_correlation_was_reckoned_to_take_grows_by_the_correlation_alone():
    assert expected_peak(500., 400., 2., 200., 260.) == 560.


def test_processes_side_by_side_take_the_longest_time_the_largest_memory_and_the_disk_of_all():
    one, other = Forecast(5, 2, 60., 100., 40., 7.), Forecast(4, 1, 80., 90., 20., 6.)
    assert combined([one, None, other]) == Forecast(9, 3, 80., 190., 60., 7.)
    assert combined([None]) is None


@pytest.mark.parametrize('size, wanted', [
    (0, '0.0 kB'), (999_900, '999.9 kB'), (4e6, '4.0 MB'), (2_140_000_000, '2.1 GB'), (3e12, '3.0 TB')
])
def test_sizes_read_as_people_say_them(size, wanted):
    assert size_text(size) == wanted


@pytest.mark.parametrize('seconds, wanted', [
    (39.2, '40 s'), (60, '60 s'), (61, '2 min'), (720, '12 min'), (7141, '2 h 00 min'), (11100, '3 h 05 min')])
def test_times_read_as_people_say_them(seconds, wanted):
    assert time_text(seconds) == wanted


@pytest.mark.parametrize('limit', [2**30, 800_000, 300_000, 50_000, 0])
def test_the_reckoned_correlation_is_what_the_network_keeps_in_memory(material, frames, monkeypatch, limit):
    kept = []

    class Watched(two_way.Correlation):

        def __init__(self, *args):
            super().__init__(*args)
            kept.append(sum(level.grids.nbytes for level in self.kept))

    monkeypatch.setattr(two_way, 'Correlation', Watched)
    teacher, labeler = teacher_of(material, max_corr_bytes=limit), labeler_of((1., 2.))
    clip = torch.rand(3, 3, 61, 95, generator=torch.Generator().manual_seed(0))
    labeler.label_pairs(teacher, PairBatch(clip[:2], clip[1:]))
    assert pass_bytes(teacher, labeler, (61, 95), 2) == max(kept)


def test_of_a_view_or_a_network_of_another_kind_no_pass_is_known(teacher, monkeypatch):
    labeler = labeler_of()
    assert pass_bytes(teacher, labeler, SIZE, 1) > 0
    monkeypatch.setattr(labeler.view, 'pass_sizes', lambda size: [])
    assert pass_bytes(teacher, labeler, SIZE, 1) == 0
    monkeypatch.setattr(two_way, 'is_known', lambda network: False)
    assert pass_bytes(teacher, labeler_of(), SIZE, 1) == 0


def test_a_run_on_this_machine_forecasts_the_size_of_its_store(whole):
    files, lines = whole
    pattern = r'Stage 1: forecast: [\d.]+ (?:s|min), (?:[\d.]+ [MG]B memory, )?([\d.]+) kB disk for 12 pairs'
    found = [match for match in (re.fullmatch(pattern, line) for line in lines) if match]
    assert len(found) == 1
    assert 1e3 * float(found[0][1]) == pytest.approx(sum(map(len, files.values())), rel=.2)


def test_the_forecast_is_one_line_after_three_pairs(teacher, frames, tmp_path, whole):
    lines = []
    label(tmp_path, teacher, frames, Pretended(), log=lines.append)
    assert lines[0].startswith('Stage 1: forecast: 12 min, 2.1 GB '
                               'memory, ') and lines[0].endswith(' kB disk for 12 pairs')
    assert [line.split(' pairs')[0] for line in lines[1:]] == ['labels: 12/12']
    assert files_of(tmp_path) == whole[0]


def test_a_disk_that_is_too_small_is_refused_and_the_store_goes_on_where_there_is_room(teacher, frames, tmp_path,
                                                                                       whole):
    lines = []
    message = (r'the labels of 9 pairs still to come take about \d+\.\d kB, and the disk has 12\.0 kB free; '
               r'free some space or choose another work dir, .* what is finished is kept')
    with pytest.raises(LabelStoreError, match=message):
        label(tmp_path, teacher, frames, Pretended(free=12_000), log=lines.append)
    assert len(lines) == 1 and 'forecast' in lines[0]        # it says what it refuses
    left = files_of(tmp_path)
    assert {'fingerprint.json', 'wanted.json'} < set(left) and sum(name.endswith('.json') for name in left) == 2 + 3
    assert not any('.tmp' in name for name in left)
    assert label(tmp_path, teacher, frames, Pretended()).made == 9
    assert files_of(tmp_path) == whole[0]


def test_only_what_is_still_to_be_written_must_fit_on_the_disk(teacher, frames, tmp_path):
    outlook = outlook_of(teacher, Pretended(free=1600), [[unit] for unit in SEVEN])
    outlook.begin()
    outlook.measured = [Measured(1, 64 * 96, 1., 100)] * 3
    outlook.judge()                                          # 4 pairs of 4 times the pixels: 1600 bytes
    outlook.machine.free = 1599
    with pytest.raises(LabelStoreError,
                       match=r'of 4 pairs still to come take about 1\.6 kB, and the disk has 1\.6 kB free'):
        outlook.judge()
    outlook.machine.free = None                              # nobody knows
    outlook.judge()


def test_larger_frames_later_that_do_not_fit_into_memory_are_refused_with_what_to_lower(teacher):
    corr, lines = [pass_bytes(teacher, labeler_of(), size, 1) for size in ((64, 96), (128, 192))], []
    # 2 of 3 GB come and go, and the frames are 4 times as large
    needs = 3e9 + 3 * (2e9 - corr[0]) + corr[1] - corr[0]

    def judged(room, batches):
        machine = Pretended(peaks=(10**9, 3 * 10**9), room=room)
        outlook = outlook_of(teacher, machine, batches, lines.append)
        outlook.begin()
        outlook.measured = [Measured(1, 64 * 96, 1., 100)] * 3
        outlook.judge()

    singles = [[unit] for unit in SEVEN]
    judged(needs, singles)
    assert lines == ['Stage 1: forecast: 19 s, 9.0 GB memory, 1.9 kB disk for 7 pairs']
    message = (r'labels: the largest batch still to come takes about 9\.0 GB of memory, and there are 8\.0 GB; lower '
               r'model\.max_corr_bytes \(now 4294967296\) or labeler\.view\.scales \(now \(1\.0,\)')
    with pytest.raises(ConfigError, match=message):
        judged(8e9, singles)
    with pytest.raises(ConfigError, match=r'there are 9\.0 GB'):
        judged(needs - 1, singles)
    message = r'about 17\.0 GB .*lower batch_size of the labels \(a batch has up to 2 pairs\), model\.max'
    with pytest.raises(ConfigError, match=message):
        judged(8e9, [*singles[:3], SEVEN[3:5], SEVEN[5:]])
    assert len(lines) == 4                                   # 8 times as many pixels in a batch: 3 + 7 * 2 GB


def test_a_peak_of_another_time_is_not_held_against_the_labels(teacher):
    machine = Pretended(resident=10**9, peaks=(50 * 10**9, 50 * 10**9))
    outlook = outlook_of(teacher, machine, [[unit] for unit in units('a', 7)], source=Scenes(a=(1, 1)))
    outlook.begin()
    outlook.measured = [Measured(1, 1, 1., 1)] * 3
    assert outlook.share().peak_bytes == 10**9
    machine.peaks = [51 * 10**9]
    assert outlook.share().peak_bytes == 51 * 10**9
    machine.has = None                                       # nobody knows
    assert outlook.share().peak_bytes is None
    assert outlook.share().line() == 'Stage 1: forecast: 7 s, 0.0 kB disk for 7 pairs'


def test_a_correlation_that_cannot_fit_is_refused_before_the_first_pair(teacher, frames, tmp_path, whole):
    alone = 4 * 96 * (96 + 24 + 6 + 1)                       # 8 x 12 cells, four levels
    room = 10**9 + 2 * alone
    message = (r'a pass of the teacher over frames of 64x96 px takes 97\.5 kB, and of memory there are 97\.5 kB left; '
               r'lower model\.max_corr_bytes \(now 4294967296\)')
    with pytest.raises(ConfigError, match=message):
        label(tmp_path, teacher, frames, Pretended(room=room - 1))
    assert sorted(files_of(tmp_path)) == ['fingerprint.json', 'wanted.json']
    assert label(tmp_path, teacher, frames, Pretended(room=room, peaks=(1, 1))).made == 12
    assert files_of(tmp_path) == whole[0]


@pytest.mark.parametrize('pairs, batch, few, logged', [
    (6, 1, 3, False), (7, 1, 3, True), (7, 2, 2, False), (8, 2, 2, True), (9, 8, 2, False), (1, 1, 1, False),
    (0, 1, 0, False)])
def test_a_forecast_is_made_from_two_batches_of_three_pairs_at_least_and_only_if_more_are_left(teacher, pairs, batch,
                                                                                               few, logged):
    batches, lines = [units('a', pairs)[i:i + batch] for i in range(0, pairs, batch)], []
    outlook = outlook_of(teacher, Pretended(), batches, lines.append, Scenes(a=(1, 1)))
    outlook.begin()
    assert outlook.few == few
    outlook.measured = [Measured(len(one), len(one), 1., 1) for one in batches[:few]]
    outlook.judge()
    assert len(lines) == logged


def test_two_processes_tell_once_what_both_take_and_both_refuse(teacher, frames, tmp_path, whole):

    def refused(rank):
        lines = []
        with pytest.raises(LabelStoreError, match='labels of 6 pairs still to come'):
            label(tmp_path / 'labels', teacher, frames, Pretended(free=10**12 if rank else 1), log=lines.append)
        assert [line.partition(', ')[0] + line[-9:] for line in lines] == ['Stage 1: forecast: 6 min 12 '
                                                                           'pairs'] * (rank == 0)

    assert in_two_processes(refused) == [0, 0]               # also the one that sees room
    assert label(tmp_path / 'labels', teacher, frames, Pretended()).made == 6
    assert files_of(tmp_path / 'labels') == whole[0]


def test_what_is_free_and_what_the_process_has_is_what_it_can_have_within_its_group(monkeypatch):
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=100))
    monkeypatch.setattr(machine_module.psutil, 'Process', lambda: process)
    monkeypatch.setattr(machine_module.psutil, 'virtual_memory', lambda: SimpleNamespace(available=600))
    monkeypatch.setattr(machine_module, 'resident_peak', lambda: 250)
    limit = [None]
    monkeypatch.setattr(machine_module, 'memory_limit', lambda: limit[0])
    machine = Machine()
    assert (machine.resident(), machine.peak(), machine.capacity(), machine.capacity(3)) == (100, 250, 700, 300)
    limit[0] = 360
    assert (machine.capacity(), machine.capacity(3)) == (360, 120)


def test_on_a_gpu_its_memory_counts(monkeypatch):
    answers = dict(memory_allocated=10, max_memory_allocated=30, memory_reserved=40, mem_get_info=(500, 900))
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, answer=answer: answer)
    machine = Machine('cuda:0')
    assert (machine.resident(), machine.peak(), machine.capacity(), machine.memory) == (10, 30, 540, 'GPU memory')
    other = Machine('meta')
    assert (other.resident(), other.peak(), other.capacity()) == (None, None, None)


def tree(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize('groups, files, wanted', [
    ('0::/a/b', {'a/b/memory.max': '900', 'a/memory.max': '700', 'memory.max': 'max'}, 700),  # that of the group above
    ('0::/a', {'a/memory.max': 'max'}, None),
    # seen from within a container
    ('0::/host/path', {'memory.max': '500'}, 500),
    ('3:cpu:/a\n4:hugetlb,memory:/a', {'memory/a/memory.limit_in_bytes': '400', 'a/memory.max': '1'}, 400),
    ('4:cpu:/a', {'memory/a/memory.limit_in_bytes': '400'}, None),
    (None, {}, None),
])
def test_the_limit_of_the_control_group_is_the_least_above_the_process(tmp_path, groups, files, wanted):
    proc = tree(tmp_path / 'proc', {} if groups is None else {'self/cgroup': groups + '\n'})
    assert memory_limit(proc, tree(tmp_path / 'cgroup', files)) == wanted


def test_the_peak_is_in_bytes_at_least_what_the_process_has_and_may_be_unknown(tmp_path):
    assert resident_peak(tree(tmp_path, {'self/status': 'VmPeak:  9 kB\nVmHWM:    12 kB\n'})) == 12 * 1024
    assert (resident_peak(tree(tmp_path, {'self/status': 'VmPeak:  9 kB\n'})) is None
            and resident_peak(tmp_path / 'none') is None)
    if Path('/proc/self/status').exists():
        machine = Machine()
        assert 2**20 < machine.resident() <= machine.peak()


def test_free_space_of_a_folder_that_is_not_there_is_unknown(tmp_path):
    assert Machine().free_disk(tmp_path) > 0 and Machine().free_disk(tmp_path / 'none') is None
