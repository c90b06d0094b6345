"""What is said of the processor."""
import pytest

from mmrefine.compat.cpu import has_fast_bfloat16


@pytest.mark.parametrize('capability, fast', [
    ('AVX2', False), ('DEFAULT', False), ('AVX512', True), ('AVX512_VNNI', True)])
def test_a_cpu_is_fast_with_bfloat16_where_it_has_wide_vectors(monkeypatch, capability, fast):
    monkeypatch.setattr('torch.backends.cpu.get_cpu_capability', lambda: capability)
    assert has_fast_bfloat16('cpu') is fast


def test_an_accelerator_is_never_held_back(monkeypatch):
    monkeypatch.setattr('torch.backends.cpu.get_cpu_capability', lambda: 'DEFAULT')
    assert has_fast_bfloat16('cuda')
