"""Settings of the rendered worlds."""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Tuple

Range = Tuple[float, float]  # (low, high), both included


@dataclass(frozen=True)
class WorldStyle:
    """Everything that makes one rendered world differ from another.

    Lengths are fractions of the frame height and speeds are fractions of the
    frame height per frame, so a style means the same at every frame size.

    Attributes:
        name: also the prefix of scene names.
        code: non-negative integer mixed into every random stream.
        look: texture family, ``'bold'`` or ``'natural'``.
        objects: fewest and most objects in front of the background.
        radius: smallest and largest object radius.
        thin_share: chance that an object is a thin bar, in [0, 1].
        hole_share: chance that a compact object has holes, in [0, 1].
        object_speed: range of the fastest own motion of an object.
        camera_speed: range of the fastest camera motion in the frame.
        still_share: chance that an object has no motion but the camera's.
        wave: range of the bending amplitude, as a fraction of the radius.
        camouflage: chance that an object has the background's texture.
        shade: strength of the light gradient and rim of objects, in [0, 1].
        haze: airlight share of the front-most layer and of the background.
        shutter: open fraction of the frame interval, centred on the frame.
        subframes: instants averaged over the shutter, fewest and most.
        light: how bright the frames are, as a share of the scene's own, in (0, 1].
        exposure: relative swing of the gain over a clip.
        vignette: relative darkening at the corners, range.
        defocus: range of the blur's standard deviation, px.
        shot_noise: range of the noise variance per grey level of signal.
        read_noise: range of the signal-free noise, grey levels.
        jpeg: lowest and highest quality; ``None`` leaves frames uncompressed.
        drive: range of the forward speed of a camera 1.65 m above a road,
            metres per frame; ``None``: a world of layers in front of a
            background. On the road, ``camera_speed`` is that of its turning,
            ``still_share`` the chance that the cars of the next lane stand,
            and ``radius``, ``object_speed``, ``thin_share``, ``hole_share``,
            ``wave`` and ``camouflage`` mean nothing.
    """

    name: str
    code: int
    look: str
    objects: tuple[int, int]
    radius: Range
    thin_share: float
    hole_share: float
    object_speed: Range
    camera_speed: Range
    still_share: float
    wave: Range
    camouflage: float
    shade: float
    haze: Range | None = None
    shutter: float = 0.0
    subframes: tuple[int, int] = (1, 1)
    light: float = 1.0
    exposure: float = 0.0
    vignette: Range = (0.0, 0.0)
    defocus: Range = (0.0, 0.0)
    shot_noise: Range = (0.0, 0.0)
    read_noise: Range = (0.0, 0.0)
    jpeg: tuple[int, int] | None = None
    drive: Range | None = None


# Large, clean, saturated and fast, like the data of pre-training.
SOURCE = WorldStyle(
    name='source', code=1, look='bold', objects=(3, 6), radius=(0.15, 0.45),
    thin_share=0.12, hole_share=0.15, object_speed=(0.005, 0.1),
    camera_speed=(0.0, 0.04), still_share=0.05, wave=(0.0, 0.10),
    camouflage=0.0, shade=0.35, read_noise=(0.3, 0.8))

# Small, muted and degraded, like videos in the wild.
TARGET = WorldStyle(
    name='target', code=2, look='natural', objects=(4, 7),
    radius=(0.08, 0.28), thin_share=0.35, hole_share=0.15,
    object_speed=(0.015, 0.065), camera_speed=(0.012, 0.045),
    still_share=0.1, wave=(0.03, 0.16), camouflage=0.2, shade=0.18,
    haze=(0.0, 0.25), shutter=0.5, subframes=(3, 5), exposure=0.12,
    vignette=(0.1, 0.35), defocus=(0.3, 0.8), shot_noise=(0.01, 0.05),
    read_noise=(0.5, 1.5), jpeg=(60, 90))

# The target's scenes in haze so deep that a network trained on either look fails at every size: most labels are wrong.
FOG = replace(TARGET, name='fog', haze=(0.5, 0.8), read_noise=(2.0, 4.0))
# The same scenes with hardly any light, with a sensor whose noise prevails, and so fast that the camera alone moves by
# up to a third of the height.
NIGHT = replace(TARGET, name='night', light=0.12, shot_noise=(0.1, 0.3), read_noise=(1.5, 3.0))
NOISE = replace(TARGET, name='noise', shot_noise=(0.3, 0.6), read_noise=(12.0, 20.0))
FAST = replace(TARGET, name='fast', object_speed=(0.15, 0.45), camera_speed=(0.1, 0.3))

# A road seen from a car, recorded like the target, though sharper and with a shorter shutter: flow that expands from a
# focus, and is large at the border.
DRIVING = replace(TARGET, name='driving', code=3, objects=(7, 12), camera_speed=(0.002, 0.02), shutter=0.15,
                  subframes=(3, 4), defocus=(0.2, 0.5), drive=(0.4, 1.1))

STYLES = {style.name: style for style in (SOURCE, TARGET, FOG, NIGHT, NOISE, FAST, DRIVING)}


def get_style(style: WorldStyle | str) -> WorldStyle:
    """The style itself, or the one of that name.

    Raises:
        ValueError: no style has that name.
    """
    if isinstance(style, WorldStyle):
        return style
    if style not in STYLES:
        raise ValueError(f'style is {style!r}; wanted one of '
                         f'{sorted(STYLES)} or a WorldStyle.')
    return STYLES[style]
