"""Several teachers that label together."""
from __future__ import annotations

from typing import Any, Dict, List, Mapping, NoReturn, Optional, Sequence, Tuple, Union

from torch import Tensor, nn

from mmrefine.errors import ConfigError
from mmrefine.registry import TEACHERS
from mmrefine.structures import FlowEstimator, LabelSource, TeacherSource, members_of

OWN = 'the network itself'  # the name of a member that has none
BETWEEN = '+'  # the digests of the members


@TEACHERS.register_module()
class TeacherGroup:
    """Several teachers of flow, whose passes an :class:`~mmrefine.labeling.ArbitratedView` weighs. Implements
    ``TeacherSource``; what :class:`~mmrefine.engine.PseudoLabelHook` makes of a list.

    Args:
        members: configs of parts of ``TEACHERS``, in any order.

    Raises:
        ConfigError: no members, or one that cannot be built.
    """

    def __init__(self, members: Sequence[Dict[str, Any]]) -> None:
        if not members:
            raise ConfigError("PseudoLabelHook.teacher must be one or more parts such as [dict(type='StudentCopy'), "
                              "dict(type='OtherNetwork', …)], got none; leave it out for the student's own copy")
        self.members: List[TeacherSource] = [TEACHERS.build(dict(one)) for one in members]

    @property
    def follows_student(self) -> bool:
        """Whether a member comes from the student."""
        return any(getattr(one, 'follows_student', False) for one in self.members)

    @property
    def name(self) -> str:
        """What people call them."""
        return ' and '.join(str(getattr(one, 'name', OWN)) for one in self.members)

    def start(self, student: nn.Module) -> None:
        """Let each begin with this student."""
        for one in self.members:
            one.start(student)

    def update(self, student: nn.Module, step: int) -> None:
        """Show each what optimiser step ``step`` (from 1) made of the student."""
        for one in self.members:
            one.update(student, step)

    def frozen(self, student: nn.Module) -> 'FrozenGroup':
        """The teachers of the round that begins.

        Raises:
            ConfigError: a member that does not estimate flow, or that has none backwards.
            MMRefineError: whatever a member raises.
        """
        teachers = [one.frozen(student) for one in self.members]
        follow = [bool(getattr(one, 'follows_student', False)) for one in self.members]
        # files do not know every pixel, so rather another network
        networks = [not getattr(one, 'as_they_are', False) for one in teachers]
        return FrozenGroup(teachers, next((ways.index(True) for ways in (follow, networks) if any(ways)), 0))

    def state_dict(self) -> Dict[str, Any]:
        """What the members need, under their numbers."""
        return {f'{i}.{key}': value for i, one in enumerate(self.members) for key, value in one.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let each go on from such a state."""
        for i, one in enumerate(self.members):
            one.load_state_dict({key.partition('.')[2]: value for key, value in state.items()
                                 if key.partition('.')[0] == str(i)})


class FrozenGroup:
    """Several frozen teachers of flow. Implements ``Teacher``; a view asks ``members`` one by one, and who asks the
    group as if it were a single ``FlowEstimator`` is told so.

    Args:
        members: frozen.
        own: the place of the one whose plain pass labels are compared with: the student's copy, which sees what the
            student sees; without one the first network.

    Raises:
        ConfigError: a member that does not estimate flow, or that has none backwards.
    """
    accepts_flow_init = False

    def __init__(self, members: Sequence[Any], own: int = 0) -> None:
        for one in members:
            if not isinstance(one, FlowEstimator):
                raise ConfigError(f'PseudoLabelHook.teacher: {len(members)} teachers can only label together if all '
                                  f'estimate flow, and {type(one).__name__} does not; name one teacher')
            if getattr(one, 'one_way', False):
                raise ConfigError(f'{getattr(one, "root", type(one).__name__)}: has no motion backwards, and several '
                                  'teachers are weighed by their round trips; add it, or name one teacher')
        self.members, self.own = list(members), own

    def digest(self) -> str:
        """The digests of the members in their order, with ``+`` in between."""
        return BETWEEN.join(one.digest() for one in self.members)

    def describe(self) -> Dict[str, Any]:
        """What decides over the answers of each beside the weights, and whose plain pass labels are compared with."""
        return dict(members=[one.describe() for one in self.members], own=self.own)

    def peak_bytes(self, size: Tuple[int, int], pairs: int = 1) -> int:
        """The most that a pass of a member must hold at once; they are asked one after the other.

        Args:
            size: (height, width) of the frames as they are shown, px.
            pairs: shown at a time.
        """
        return max(int(one.peak_bytes(size, pairs)) for one in self.members)

    def memory_settings(self) -> List[str]:
        """Which config keys to lower so that they take less memory."""
        return list(dict.fromkeys(key for one in self.members for key in getattr(one, 'memory_settings', list)()))

    @property
    def depends_on_batch(self) -> bool:
        """Whether pairs that share a pass change the answers of a member to one another."""
        return any(getattr(one, 'depends_on_batch', False) for one in self.members)

    @property
    def dtype(self) -> str:
        """``'bfloat16'`` if a member has it, else ``'float32'``."""
        dtypes = [getattr(one, 'dtype', 'float32') for one in self.members]
        return next((dtype for dtype in dtypes if dtype != 'float32'), 'float32')

    def check_source(self, source: LabelSource) -> None:
        """Let each that can look for what it needs.

        Raises:
            InputError: a member has nothing to say about the frames.
        """
        for one in self.members:
            if hasattr(one, 'check_source'):
                one.check_source(source)

    def estimate(self, frames1: Tensor, frames2: Tensor, flow_init: Optional[Tensor] = None) -> NoReturn:
        """Always refused.

        Raises:
            ConfigError: says which view asks each teacher.
        """
        raise ConfigError(f'PseudoLabelHook.teacher names {len(self.members)} teachers, and labeler.view asks one '
                          "alone; set labeler.view=dict(type='ArbitratedView'), which weighs the passes of all, or "
                          'name one teacher')


def build_source(teacher: Union[Mapping[str, Any], Sequence[Mapping[str, Any]]], **each: Any) -> TeacherSource:
    """The source that a config of ``PseudoLabelHook.teacher`` names; of several a group.

    Args:
        teacher: config of a part of ``TEACHERS``, or a list of these.
        each: values of every one of them that does not have its own.

    Raises:
        ConfigError: it cannot be built.
    """
    members = [{**each, **one} for one in ([teacher] if isinstance(teacher, Mapping) else teacher)]
    source: TeacherSource = TEACHERS.build(
        members[0] if len(members) == 1 else dict(type='TeacherGroup', members=members))
    return source


def networks_of(source: Any) -> List[Any]:
    """The sources among a source and its members that are another network than the student."""
    return [one for one in members_of(source) if hasattr(one, 'network')]
