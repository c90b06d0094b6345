"""The seams: what stage 1, the guard and the report ask of their parts, whatever kind of motion they handle."""
from __future__ import annotations

from typing import (TYPE_CHECKING, Any, Callable, Collection, Dict, FrozenSet, List, Mapping, Optional, Protocol,
                    Sequence, Tuple, TypeVar)

import numpy as np

from mmrefine.structures.batches import LabelBatch, Labeled, LabelUnit
from mmrefine.structures.figures import Figure

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar('T')


class LabelSource(Protocol):
    """Videos that labels are made of: frame pairs or clips, whatever holds their frames."""

    @property
    def units(self) -> Sequence[LabelUnit]:
        """What is to be labelled, in order; units of one scene are neighbours."""

    def usable(self, scene: str, number: int, beside: int) -> bool:
        """Whether a frame exists, is not to be skipped, and is not kept back for the guard; and whether no frames are
        missing between it and the frame ``beside`` it."""

    def frame(self, scene: str, number: int) -> np.ndarray:
        """A frame ``(H, W, 3)`` uint8 RGB.

        Raises:
            InputError: it cannot be read.
        """

    def frame_name(self, scene: str, number: int) -> str:
        """The name of a frame, unique in its scene."""

    def size(self, scene: str) -> Tuple[int, int]:
        """(height, width) of the frames of a scene, px."""

    def digests(self) -> Dict[str, str]:
        """Scene -> hash of the contents of its frames."""


class Teacher(Protocol):
    """A frozen source of motion. How it is asked belongs to its kind (flow, tracks).

    Optional members: ``check_source(source)``, which raises an ``InputError`` where the teacher has nothing to say
    about the frames of a ``LabelSource``, asked before the first label is made; ``as_they_are``, True where frames in
    another size or mirrored cannot be asked about; ``members``, of several teachers that label together.
    """

    def digest(self) -> str:
        """Identifies the weights, or whatever else the motion comes from."""

    def describe(self) -> Dict[str, Any]:
        """What decides over the answers beside the weights (network, iterations, shortcuts); JSON-able."""

    def peak_bytes(self, size: Tuple[int, int], pairs: int = 1) -> int:
        """Bytes that a pass over ``pairs`` pairs of frames of ``size`` = (height, width) px must hold at once; 0 if not
        known.
        """


class TeacherSource(Protocol):
    """Where the teacher of each round comes from. Its state is kept in checkpoints.

    Optional members: ``name``, what people call the teacher, if it is not the student; ``follows_student``, True where
    it is, so that a run must load weights for it; ``members``, of several sources whose teachers label together.
    """

    def start(self, student: Any) -> None:
        """Training begins with this student."""

    def update(self, student: Any, step: int) -> None:
        """Optimiser step ``step`` (from 1) has changed the student."""

    def frozen(self, student: Any) -> Teacher:
        """The teacher of a round that begins with this student, where the student lives."""

    def state_dict(self) -> Dict[str, Any]:
        """What a run that goes on from a checkpoint needs: tensors, numbers, texts; empty if nothing."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state; comes after :meth:`start`."""


def members_of(teacher: Any) -> Sequence[Any]:
    """The teachers that label together, or their sources, of a group of either (``members``); of any other the one
    itself."""
    members: Sequence[Any] = getattr(teacher, 'members', (teacher, ))
    return members


class LabelCodec(Protocol):
    """One kind of label as the bytes of its files, and back."""

    @property
    def kind(self) -> str:
        """The kind of label, as the manifest names it: ``'flow'``, …"""

    @property
    def suffixes(self) -> Tuple[str, ...]:
        """What follows the key in the names of a label's files. The first file always exists, the others need not."""

    def encode(self, label: Any) -> Dict[str, bytes]:
        """The bytes of each file, by suffix."""

    def decode(self, files: Mapping[str, bytes], name: str) -> Any:
        """The label.

        Raises:
            LabelStoreError: damaged bytes; ``name`` says in the message which label it is.
        """

    def as_stored(self, label: Any) -> Any:
        """What :meth:`decode` will give back of a label: rounded, clipped, as the files can hold it."""

    def damage(self, data: bytes) -> Optional[str]:
        """What is visibly wrong with the bytes of one of its files, without decoding them; None if nothing is."""


class Labeler(Protocol):
    """Turns what a teacher sees of some frames into labels. The same input gives the same labels."""

    @property
    def codec(self) -> LabelCodec:
        """How its labels are stored."""

    def keys(self, unit: LabelUnit) -> List[str]:
        """The keys of the labels that a unit becomes."""

    def extra_frames(self, unit: LabelUnit, usable: Callable[[int], bool]) -> List[int]:
        """Numbers of the frames that are needed beside the unit's own, out of those that are ``usable``, in reading
        order.
        """

    def label(self, teacher: Any, batch: LabelBatch) -> List[Labeled]:
        """The labels of a batch, :meth:`keys` of each unit in order.

        Raises:
            TeacherError: the teacher's motion cannot be used.
        """

    def describe(self) -> Dict[str, Any]:
        """What decides over the labels beside teacher and frames; JSON-able, defaults included."""


class MotionLoss(Protocol):
    """One term of what a network learns from. All losses have this one signature, with labels or without."""

    @property
    def needs(self) -> FrozenSet[str]:
        """What the model must provide beside flows and frames: ``'labels'``, ``'features'``, ``'backward'``,
        ``'estimate'``."""

    def __call__(self, outputs: Any, sample: Any) -> Tensor:
        """A scalar.

        Args:
            outputs: what the network found and saw; :class:`~mmrefine.structures.FlowOutputs` of a flow network.
            sample: the labels of the batch, if it has any; :class:`~mmrefine.structures.FlowTargets`.
        """


class LabelJudge(Protocol):
    """Says how good labels of one kind are. A kind without a judge is labelled all the same, and nothing is said about
    it.
    """

    def look(self, unit: LabelUnit, frames: Mapping[int, np.ndarray], labels: Sequence[Labeled],
             wanted: Collection[str]) -> List[Tuple[Labeled, Optional[Mapping[str, Any]]]]:
        """The labels of a unit just before they are stored, with further statistics, and what each is to be judged by,
        JSON-able.

        Args:
            unit: what became the labels.
            frames: its frames by number, ``(H, W, 3)`` uint8 RGB.
            labels: of the labeler.
            wanted: the keys of all labels that the store will hold.
        """

    def judge(self, store: Any, source: Any) -> Dict[str, Any]:
        """The record of a complete store whose labels were made of a source; JSON-able, the same in all processes."""

    def judge_with_truth(self, store: Any, dataset: Any, record: Mapping[str, Any]) -> Dict[str, Any]:
        """The record with the ground truth that another data set has of the same frames; unchanged if it has none."""

    def lines(self, record: Mapping[str, Any]) -> List[Tuple[str, str]]:
        """Lines for the log, each with ``'green'``, ``'amber'`` or ``'red'``."""


class Tally(Protocol):
    """What one or many samples add to some figures: sums and counts, which are added and never averaged."""

    @property
    def figures(self) -> Sequence[Figure]:
        """The figures that :meth:`scores` may give, in the order in which they are shown. One of them is the headline.
        """

    @property
    def size(self) -> float:
        """How much it counts in the headline figure of all samples together (pixels, objects, …); 0 where nothing could
        be judged.
        """

    def __add__(self: T, other: T) -> T:
        ...

    def scores(self) -> Dict[str, float]:
        """The figures by name; those of which nothing is known are left out or nan."""


class Witnesses(Protocol):
    """What the guard compares of networks on the samples that are kept back, without ground truth.

    A witness is a number that is the smaller the better the network is, 0 at best. The guard adds up the logarithms of
    their ratios.
    """

    @property
    def figures(self) -> Sequence[Figure]:
        """The witnesses, and whatever else :meth:`observe` gives for people to read."""

    @property
    def weights(self) -> Mapping[str, float]:
        """How much each witness counts."""

    @property
    def floors(self) -> Mapping[str, float]:
        """How much of each witness is as good as nothing; it is added to both sides of a ratio."""

    @property
    def sample_name(self) -> str:
        """What a sample is called in sentences, such as ``'frame pair'``."""

    @property
    def samples(self) -> Sequence[Tuple[str, str]]:
        """(scene, key) of each sample that is observed, in order; known once the witnesses are prepared."""

    def prepare(self, dataset: Any, teacher: Any, device: str, seed: int, log: Callable[[str], None]) -> None:
        """Choose samples of what was kept back, and learn from the original network what is needed to observe others.

        Args:
            dataset: without a pipeline.
            teacher: the original network, in evaluation mode; it does not change any more.
            device: where the networks live.
            seed: of whatever is drawn.
            log: called with a line now and then.
        """

    def observe(self, network: Any, index: int) -> Mapping[str, float]:
        """What a network in evaluation mode shows on sample ``index``; nan for a witness that has nothing to go by
        there.

        Raises:
            InputError: a frame that cannot be read.
        """

    def rendered(self, network: Any, number: int) -> Optional[Tally]:
        """How a network does on rendered sample ``number``, whose truth is exact; None where this kind has none."""

    def describe(self) -> Dict[str, Any]:
        """What decides over the observations; JSON-able."""


class ObjectingWitnesses(Witnesses, Protocol):
    """Witnesses that may refuse a network which the mean of its witnesses speaks for. Optional: without this method
    nothing is refused but by its score.
    """

    def objection(self, teacher: Sequence[Mapping[str, float]],
                  candidate: Sequence[Mapping[str, float]]) -> Optional[str]:
        """Why a candidate must not be handed back whatever its score says, such as ``'has lost the motion'``; None if
        nothing speaks against it.

        Args:
            teacher: what :meth:`observe` gave of the original network, of each sample.
            candidate: the same of the candidate.
        """
