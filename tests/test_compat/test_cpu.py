"""What is said of the processor."""
import time

import pytest
import torch

from mmrefine.compat import cpu
from mmrefine.compat.cpu import bfloat16_speedup, has_fast_bfloat16


@pytest.mark.parametrize('capability, fast', [
    ('AVX2', False), ('DEFAULT', False), ('AVX512', True), ('AVX512_VNNI', True)])
def test_a_cpu_is_fast_with_bfloat16_where_it_has_wide_vectors(monkeypatch, capability, fast):
    monkeypatch.setattr('torch.backends.cpu.get_cpu_capability', lambda: capability)
    assert has_fast_bfloat16('cpu') is fast


@pytest.mark.parametrize('native', [True, False])
def test_a_gpu_is_fast_where_it_does_not_emulate_it(monkeypatch, native):
    monkeypatch.setattr('torch.backends.cpu.get_cpu_capability', lambda: 'DEFAULT')
    monkeypatch.setattr('torch.cuda.is_bf16_supported', lambda including_emulation: including_emulation or native)
    assert has_fast_bfloat16('cuda') is native and has_fast_bfloat16('mps')


def test_the_measurement_draws_nothing_and_is_quick(monkeypatch):
    cpu._measured_speedup.cache_clear()
    before = torch.get_rng_state()
    begin = time.process_time()
    found = bfloat16_speedup('cpu')
    assert 0 < found < 100
    assert torch.equal(torch.get_rng_state(), before) and time.process_time() - begin < 20
    monkeypatch.setattr(time, 'perf_counter', None)
    assert bfloat16_speedup('cpu') == found  # a number of threads is measured once
    monkeypatch.undo()
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 64)
    assert bfloat16_speedup('cpu') > 0 and cpu._measured_speedup.cache_info().misses == 2
