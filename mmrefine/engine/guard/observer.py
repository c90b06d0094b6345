"""What networks show on the samples that the guard keeps back, whatever their witnesses are."""
from __future__ import annotations

from functools import reduce
from operator import add
from typing import AbstractSet, Any, Callable, Dict, FrozenSet, Hashable, List, Mapping, Optional, Sequence

from mmengine.dist import all_gather_object, get_dist_info

from mmrefine.engine.runtime.processes import together
from mmrefine.engine.runtime.progress import Progress
from mmrefine.evaluation.guard.runs import independent_runs
from mmrefine.structures.contracts import Witnesses


class Observer:
    """Observes networks; the processes of a distributed run share the samples, and all get the same.

    Args:
        witnesses: prepared.
        sampled: whether the scenes of the samples stand for others that were not kept back.
        learned: names of witnesses that the student was trained on, which are no evidence for it
            (:func:`learned_witnesses`).
    """

    def __init__(self, witnesses: Witnesses, sampled: bool = False, learned: AbstractSet[str] = frozenset()) -> None:
        self.witnesses, self.sampled, self.learned = witnesses, sampled, learned
        self._original: List[Any] = []  # tallies of the original network on rendered samples, in their order

    def __len__(self) -> int:
        return len(self.witnesses.samples)

    @property
    def weights(self) -> Dict[str, float]:
        """How much each witness counts, without those that the student was trained on."""
        return {name: weight for name, weight in self.witnesses.weights.items() if name not in self.learned}

    @property
    def scenes(self) -> List[str]:
        """The scene of each sample."""
        return [scene for scene, _ in self.witnesses.samples]

    def runs(self, losses: Sequence[float]) -> List[Hashable]:
        """What each sample is drawn with, see :func:`~mmrefine.evaluation.guard.runs.independent_runs`.

        Args:
            losses: of each sample.
        """
        return independent_runs(losses, self.scenes, self.sampled)

    @property
    def share(self) -> int:
        """How many of the samples this process observes."""
        return len(self._mine())

    def _mine(self) -> range:
        rank, world = get_dist_info()
        return range(rank, len(self), world)

    def observe(self, network: Any, progress: Optional[Callable[[int], None]] = None) -> List[Mapping[str, float]]:
        """What a network in evaluation mode shows on each sample, in order.

        Args:
            network: that the witnesses can ask.
            progress: called with how many of its :attr:`share` this process is done with.

        Raises:
            InputError: a frame that cannot be read.
        """

        def observe_mine() -> Dict[int, Mapping[str, float]]:
            seen = {}
            for index in self._mine():
                seen[index] = self.witnesses.observe(network, index)
                if progress is not None:
                    progress(len(seen))
            return seen

        found = {index: seen for part in all_gather_object(together(observe_mine)) for index, seen in part.items()}
        return [found[index] for index in range(len(self))]

    def forgotten(self, teacher: Any, student: Any, count: int, log: Callable[[str], None]) -> Dict[str, Any]:
        """What a student unlearned: the headline figure of both networks on rendered samples of another look.

        The original network is asked the first time only; what it is asked then serves all students.

        Args:
            teacher: the original network, the same one each time.
            student: the network that is handed back; if that is ``teacher`` itself, nothing is asked twice.
            count: of samples; 0: none.
            log: called with a line now and then.

        Returns:
            ``pairs``, ``before``, ``after``, ``change_percent`` and ``figure`` (what was scored);
            empty without samples.

        Raises:
            MMRefineError: a prediction that is not finite.
        """
        networks = ([teacher] if len(self._original) < count else []) + ([] if student is teacher else [student])
        progress = Progress('Guard: what was forgotten, {} passes over rendered samples', len(networks) * count, log)
        tallies: List[Any] = []
        for network in networks:
            for number in range(count):
                tallies.append(self.witnesses.rendered(network, number))
                progress(len(tallies))
        if networks and networks[0] is teacher:
            self._original = tallies[:count]
        original = self._original[:count]
        if not original or original[0] is None:
            return {}
        totals = [reduce(add, original), reduce(add, original if student is teacher else tallies[-count:])]
        headline = next(figure for figure in totals[0].figures if figure.headline)
        before, after = (total.scores()[headline.name] for total in totals)
        return dict(pairs=count, before=before, after=after, change_percent=100 * (after / before - 1),
                    figure=headline.to_dict())


def learned_witnesses(model: Any, log: Callable[[str], None]) -> FrozenSet[str]:
    """The witnesses that the losses of a model bring down themselves, whether or not the motion gets better.

    Args:
        model: whose ``losses`` may have a ``witness``, the name of the one that they bring down.
        log: called with a line for each such loss.
    """
    found = {name: loss.witness for name, loss in getattr(model, 'losses', {}).items() if hasattr(loss, 'witness')}
    for name, witness in found.items():
        log(f'Guard: the student is trained on the witness "{witness}" ({name}), which has no weight in its score')
    return frozenset(found.values())
