"""Decoded frames on disk while a run trains on video files."""
from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable, Optional

from mmengine.dist import get_dist_info
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrefine.engine.runtime.processes import together
from mmrefine.engine.stage1.forecast import size_text
from mmrefine.fileio.video.frame_cache import FrameCache
from mmrefine.registry import HOOKS
from mmrefine.values import as_number, check_values

# in the work dir
FOLDER = 'frame_cache'


@HOOKS.register_module()
class FrameCacheHook(Hook):
    """Keeps the frames that training draws from video files decoded on disk, in ``<work_dir>/frame_cache``.

    Before stage 1 it logs how much disk space that takes. After stage 1 of the first round it decodes what is missing,
    once and in order. A run that stops keeps the files for its resumption; a run that ends removes them. Training gets
    the same frames with and without them, to the bit. Folders of frames are not touched, and neither is training data
    without ``video_frames()`` and ``read_through(cache)``, which :class:`~mmrefine.datasets.VideoScenes` has.

    Args:
        max_gb: most disk space for the files, in GB (10^9 bytes); 0: keep none.

    Raises:
        ConfigError: a value of another type, or below 0.
    """

    def __init__(self, max_gb: float = 4.) -> None:
        check_values('FrameCacheHook', FrameCacheHook, locals())
        self.max_gb = as_number('FrameCacheHook.max_gb', max_gb, '[0, inf)')
        self._cache: Optional[FrameCache] = None
        self._is_filled = False

    def before_train(self, runner: Runner) -> None:
        """Choose the frames to keep, and say what they take."""
        data: Any = runner.train_dataloader.dataset
        frames = data.video_frames() if hasattr(data, 'video_frames') else {}
        if not frames:
            return
        cache = FrameCache(Path(runner.work_dir) / FOLDER, 1e9 * self.max_gb)
        if self.max_gb == 0 or runner.iter >= runner.max_iters:  # it would hold no frame, or nobody would read it
            self._first_does(runner, cache.remove)
            return
        for scene, numbers in frames.items():
            cache.add(data.sources[scene], numbers)
        self._first_does(runner, lambda: self._plan(runner, cache))
        data.read_through(cache)
        self._cache, self._is_filled = cache, False

    def before_train_epoch(self, runner: Runner) -> None:
        """Decode what is missing; the priority puts it behind the labels of the round."""
        cache = self._cache
        if cache is not None and not self._is_filled:
            self._is_filled = True
            self._first_does(runner, lambda: self._fill(runner, cache))

    def after_train(self, runner: Runner) -> None:
        """Remove the files of a run that has ended."""
        cache, self._cache = self._cache, None
        if cache is not None:
            self._first_does(runner, cache.remove)

    def _plan(self, runner: Runner, cache: FrameCache) -> None:
        plan = cache.plan()
        runner.logger.info(f'Frames: {plan.chosen} of {plan.wanted} that training draws from video will be kept '
                           f'decoded in {cache.root}, about {size_text(plan.size)} of at most {size_text(plan.limit)} '
                           '(default_hooks.frame_cache.max_gb)')

    def _fill(self, runner: Runner, cache: FrameCache) -> None:
        began = time.monotonic()
        count, size = cache.fill(runner.logger.warning)
        runner.logger.info(f'Frames: {count} decoded frames ({size_text(size)}) are ready after '
                           f'{time.monotonic() - began:.0f} s')

    def _first_does(self, runner: Runner, action: Callable[[], None]) -> None:
        """Let the first process do it while the others wait; files that it must not touch cost no run."""

        def act() -> None:
            try:
                action()
            except OSError as error:
                runner.logger.warning(f'{Path(runner.work_dir) / FOLDER}: {error.strerror or error}; the decoded '
                                      'frames in it are left as they are, and what is missing is decoded from the '
                                      'video')

        together(lambda: act() if get_dist_info()[0] == 0 else None)
