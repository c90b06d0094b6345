"""What --amp stands for."""
import pytest

from mmrefine.apis.precision import amp_values
from mmrefine.errors import ConfigError

PLAIN, OWN = dict(optim_wrapper=dict(type='OptimWrapper')), dict(optim_wrapper=dict(type='AmpOptimWrapper'))


@pytest.mark.parametrize('choice, precision', [('auto', 'auto'), ('on', 'bfloat16'), ('off', 'float32')])
def test_each_choice_is_a_precision(choice, precision):
    wanted = {'optim_wrapper.type': 'BFloat16OptimWrapper', 'optim_wrapper.precision': precision}
    assert amp_values(choice, PLAIN) == amp_values(choice, {}) == wanted
    assert amp_values(choice, OWN) == ({} if choice == 'auto' else wanted)
    assert amp_values(None, PLAIN) == {}


def test_a_wrapper_that_is_asked_for_is_left_alone():
    for kind in ('AmpOptimWrapper', 'OptimWrapper'):
        assert amp_values('auto', PLAIN, {'optim_wrapper.type': kind}) == {}
        with pytest.raises(ConfigError, match=f'--amp off and optim_wrapper.type={kind} are both given'):
            amp_values('off', PLAIN, {'optim_wrapper.type': kind})
    with pytest.raises(ConfigError, match="amp must be one of auto, on, off, got 'yes'"):
        amp_values('yes', PLAIN)
