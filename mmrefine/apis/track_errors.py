"""The option ``--max-error`` of ``mmrefine track``: points are seen only as long as they are expected to be right."""
from __future__ import annotations

from typing import Any, Callable, Dict, Optional

from mmrefine.errors import ConfigError
from mmrefine.structures import ErrorTracker, Tracks

# what the expected error of a point is, by what it is made of
ERRORS = {
    'steps': 'px, how far the point is expected to be from where it should be: the expected errors of the steps of '
             'flow that led to it, added up',
    'round trips': 'px, how far the point is expected to be from where it should be: how far it misses where it came '
                   'from when it is followed back, piece by piece of the video, added up',
}


def follow_within(network: Any, max_error: Optional[float]) -> Callable[..., Tracks]:
    """What follows points through a video, as ``track_stream`` of :class:`~mmrefine.structures.StreamTracker`; with a
    threshold points have their expected error, and are seen only where it is at most so many px.

    Args:
        network: the tracker.
        max_error: px, above 0, or None.

    Raises:
        ConfigError: a threshold, and a network that knows no errors.
    """
    follow: Callable[..., Tracks] = network.track_stream
    if max_error is None:
        return follow
    if not isinstance(network, ErrorTracker):
        raise ConfigError(f'--max-error: {type(network).__name__} cannot say how far its points may be off; leave it '
                          'out, or open the model with open_tracker() of mmrefine.apis')
    most, known = max_error, network
    return lambda *asked: known.track_with_errors(*asked).within(most)


def frame_passes(network: Any, max_error: Optional[float]) -> int:
    """How often each frame is asked for: twice where errors are those of round trips, else once."""
    return 1 if max_error is None or network.describe_errors()['by'] == 'steps' else 2


def error_settings(network: Any, max_error: Optional[float]) -> Dict[str, Any]:
    """The threshold and how errors are made, as settings of files; JSON-able, empty without a threshold."""
    return {} if max_error is None else dict(max_error=max_error, errors=dict(network.describe_errors()))


def error_notes(network: Any, max_error: Optional[float]) -> Dict[str, Any]:
    """What files say of the errors of their points and of the threshold, for people; empty without a threshold."""
    if max_error is None:
        return {}
    return dict(max_error=f'points are visible as long as their expected error is at most {max_error:g} px',
                error=ERRORS[network.describe_errors()['by']])
