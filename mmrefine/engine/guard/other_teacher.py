"""How far teachers that are other networks are ahead of the network that learns from it."""
from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List, Sequence

from mmengine.runner import Runner

from mmrefine.engine.guard.candidates import rate
from mmrefine.engine.guard.observer import Observer
from mmrefine.errors import MMRefineError
from mmrefine.evaluation.guard.comparison import Observation
from mmrefine.models.teachers.group import networks_of


def other_teachers(hooks: Iterable[Any]) -> List[Any]:
    """The sources of the teachers that are other networks and label in this run, alone or together.

    Args:
        hooks: of the run, of which one may have ``teachers``.
    """
    # with ``labels`` they were made before, and the teacher of the hook is not asked
    sources = (getattr(hook, 'teachers', None) for hook in hooks if getattr(hook, 'labels', None) is None)
    return next((found for found in map(networks_of, filter(None, sources)) if found), [])


def teacher_record(runner: Runner, student: Any, observer: Observer, seen: Sequence[Observation], confidence: float,
                   seed: int, progress: Callable[[Runner, str], Callable[[int], None]]) -> Dict[str, Any]:
    """What the guard's score says of teachers against the original network, on the samples that are kept back.

    Args:
        runner: whose hooks may have teachers.
        student: where their networks are to live.
        observer: of the samples.
        seen: what it saw of the original network.
        confidence: of the interval, in (0, 1).
        seed: of its draws.
        progress: given the runner and what is looked at, gives what is told how many samples are done.

    Returns:
        ``teachers``: of each its ``name``, ``surely`` (whether it is surely better, and nothing speaks against it),
        ``objection`` (see :class:`~mmrefine.engine.guard.candidates.Candidate`), and the comparison
        (:meth:`~mmrefine.evaluation.guard.comparison.Comparison.to_dict`); empty if there is no other teacher, or if
        all are gone by now.
    """
    records = []
    for source in other_teachers(runner.hooks):
        try:
            teacher = source.frozen(student)
        except MMRefineError as error:  # a resumed run needs its labels alone, and must not end here
            runner.logger.warning(f'Guard: the teacher is not compared with the original network: {error}')
            continue
        found = rate(observer, teacher.refiner, seen, 0, 1., confidence, seed, progress(runner, 'the teacher'))
        records.append(dict(
            name=source.name, surely=found.is_accepted, objection=found.objection, **found.comparison.to_dict()))
    return dict(teachers=records) if records else {}
