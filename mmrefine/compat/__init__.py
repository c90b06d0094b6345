"""Where the platform is mended: the only place that changes how a library behaves.

"(F7)" and the like, here and all over the project, are rows of the table in ``docs/platform.md``.

``import mmrefine`` calls :func:`setup_environment`, which imports nothing heavy and mends the following. Each entry
says what is changed, why, and which test fails once the entry can go.

* **``mmcv.ops`` beside mmcv-lite (F7).** ``import mmflow.models`` needs ``mmcv.ops``, which needs compiled operators
  that mmcv-lite does not have. A finder in ``sys.meta_path`` answers the import with a module that holds
  ``Correlation`` and ``DeformConv2d`` in plain PyTorch (``mmcv_ops.py``), and the two version functions that mmcv's
  ``collect_env`` then asks for. Where mmcv has its ``_ext``, nothing is replaced. Can go when
  ``test_mmcv_lite_has_no_operators_of_its_own`` fails.
* **Classes allowed in checkpoints (F8).** PyTorch 2.6 loads with ``weights_only=True``, and mmengine 0.10.7 then
  refuses its own checkpoints. Just before ``mmengine.runner.checkpoint`` is imported, exactly the classes that such a
  file holds are allowed (``checkpoints.py``): the log buffer, numpy's array and number parts, the one-cycle schedule.
  The file's ``getattr`` is answered by a function that knows six names only. Safe loading stays on. Can go when
  ``test_mmengine_cannot_resume_without_the_allow_list`` fails.
* **``mmrefine::`` in a config's ``_base_`` (F17).** mmengine takes the names of its own packages only. Right after
  ``mmengine.config`` is imported, its ``Config`` is taught to find ours (``config_names.py``). Can go when
  ``test_mmengine_does_not_know_the_name_of_mmrefine`` fails.
* **Warnings silenced by their text.** ``pkg_resources is deprecated``: mmengine's ``mmflow::`` needs it, and
  ``tools/doctor.py`` checks for setuptools<81 instead. ``torch.meshgrid``: mmflow's RAFT calls it without an indexing.
  ``Detected call of `scheduler.step()```: mmengine's schedules go on at every step, and with ``accumulative_counts``
  not every step is an update. Can go when ``test_the_silenced_warnings_still_exist`` fails.
* **OpenCV's log.** It prints lines such as ``[ERROR:0@0.04] global grfmt_tiff.cpp:117 …`` about a damaged picture, of
  which our error says the name and what to do. The environment variable ``OPENCV_LOG_LEVEL`` is set to ``SILENT``,
  unless the user has set it. Can go when ``test_opencv_says_nothing_about_a_damaged_picture_unless_it_is_asked_to``
  fails.

Beside that, with nothing changed in any library: ``stock.py`` (where the stock configs are), ``installation.py`` (what
is wrong with an installation), ``official_checkpoints.py`` (names of official weights), ``cpu.py`` (what the processor
can do), ``cgroups.py`` (what a container may use), ``threads.py`` (how many threads compute, and how they wait).
"""
from mmrefine.compat.stand_ins import install_stand_ins, quiet_known_warnings, quiet_opencv

__all__ = ['setup_environment']


def setup_environment() -> None:
    """Mend the platform as listed above; calling it again changes nothing."""
    install_stand_ins()
    quiet_known_warnings()
    quiet_opencv()
