"""Pixel values of any dtype to the RGB that a model sees: one mapping per image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..segmenter import InputError
from ..settings import Settings
from .axes import Image
from .sampling import SAMPLE_PIXELS, sample, step_for

WHITE = (1.0, 1.0, 1.0)
RGB_COLORS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
#: Colours given to the channels of a multichannel image, in order, then from the start again.
CHANNEL_COLORS = (
    (0.0, 0.0, 1.0),
    (0.0, 1.0, 0.0),
    (1.0, 0.0, 0.0),
    (1.0, 1.0, 0.0),
    (1.0, 0.0, 1.0),
    (0.0, 1.0, 1.0),
)


@dataclass(frozen=True, slots=True)
class IntensityMapping:
    """An affine map from pixel values to RGB, the same for every tile of an image.

    Parameters
    ----------
    limits : tuple of (float, float), one per channel
        Values shown as 0 and as 1, in the image's own units.
    colors : tuple of (float, float, float), one per channel
        RGB weight of each channel, in [0, 1]; channels add up and are clipped at 1.
    invert : bool
        Swap dark and light after mapping.
    """

    limits: tuple[tuple[float, float], ...]
    colors: tuple[tuple[float, float, float], ...] = (WHITE,)
    invert: bool = False

    def __post_init__(self) -> None:
        if len(self.limits) != len(self.colors):
            raise ValueError(
                f"expected one colour for each of {len(self.limits)} channels, "
                f"got {len(self.colors)} colours"
            )

    def apply(self, plane: NDArray[np.generic]) -> NDArray[np.float32]:
        """Map one plane or tile to RGB.

        Parameters
        ----------
        plane : (H, W) or (H, W, C) array of bool, integer or float
            C is the number of limits. NaN and negative infinity become the low limit,
            positive infinity the high one.

        Returns
        -------
        (H, W, 3) float32 array in [0, 1]

        Raises
        ------
        ValueError
            If the number of channels differs from the number of limits.
        """
        channels = plane[..., np.newaxis] if plane.ndim == 2 else plane
        if channels.shape[-1] != len(self.limits):
            raise ValueError(
                f"expected a plane with {len(self.limits)} channels, got shape {plane.shape}"
            )
        if self.colors == RGB_COLORS:
            rgb = np.stack(
                [_unit(channels[..., i], *limit) for i, limit in enumerate(self.limits)], axis=-1
            )
        elif self.colors == (WHITE,):
            rgb = np.repeat(_unit(channels[..., 0], *self.limits[0])[..., np.newaxis], 3, axis=-1)
        else:
            rgb = np.zeros((*channels.shape[:2], 3), np.float32)
            for i, (limit, color) in enumerate(zip(self.limits, self.colors, strict=True)):
                rgb += _unit(channels[..., i], *limit)[..., np.newaxis] * np.array(
                    color, np.float32
                )
            np.minimum(rgb, 1, out=rgb)
        return np.subtract(1, rgb, out=rgb) if self.invert else rgb


def _unit(values: NDArray[np.generic], low: float, high: float) -> NDArray[np.float32]:
    """Scale ``low``..``high`` to 0..1 and clip; all zero where ``low >= high``."""
    if not high > low:
        return np.zeros(values.shape, np.float32)
    # 32-bit integers and float64 lose their low digits in float32 unless shifted first.
    wide = np.float64 if values.dtype.itemsize >= 4 else np.float32
    shifted: NDArray[np.floating] = values.astype(wide)
    with np.errstate(over="ignore", invalid="ignore"):
        np.subtract(shifted, low, out=shifted)
        np.divide(shifted, high - low, out=shifted)
    np.clip(shifted, 0, 1, out=shifted)
    # NaN passes through clip.
    unit: NDArray[np.float32] = np.nan_to_num(shifted, copy=False, nan=0.0).astype(np.float32)
    return unit


def measure_limits(
    samples: Iterable[NDArray[np.generic]],
    percentiles: tuple[float, float] = (0.5, 99.8),
    *,
    joint: bool = False,
) -> tuple[tuple[float, float], ...]:
    """Find the low and high limit of each channel from a sample of an image.

    Parameters
    ----------
    samples : iterable of (H, W) or (H, W, C) arrays
        Planes, or parts of planes, thinned by the caller; NaN and infinities are left out.
    percentiles : (float, float)
        Percentages in [0, 100] of the pixels at or below each limit.
    joint : bool
        Use one pair of limits for all channels, as for RGB, so that hues stay.

    Returns
    -------
    tuple of (low, high), one per channel
        Least and greatest value where the percentiles are the same, as in a dark field with
        few objects; ``(0.0, 0.0)`` for a channel without any finite pixel.

    Raises
    ------
    ValueError
        If the percentiles are not ascending within [0, 100].
    """
    low, high = percentiles
    if not 0 <= low < high <= 100:
        raise ValueError(f"expected percentiles 0 <= low < high <= 100, got ({low}, {high})")
    planes = [s[..., np.newaxis] if s.ndim == 2 else s for s in samples]
    if not planes:
        return ((0.0, 0.0),)
    count = planes[0].shape[-1]
    groups = [range(count)] if joint else [range(i, i + 1) for i in range(count)]
    found: list[tuple[float, float]] = []
    for group in groups:
        values = np.concatenate([p[..., i].ravel() for p in planes for i in group])
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)].astype(np.float64)
        elif values.dtype.kind == "b":
            values = values.astype(np.uint8)
        pair = np.percentile(values, percentiles) if values.size else np.zeros(2)
        if values.size and pair[0] == pair[1]:
            pair = np.array([values.min(), values.max()])
        found += [(float(pair[0]), float(pair[1]))] * len(group)
    return tuple(found)


def thin(plane: NDArray[np.generic], pixels: int = SAMPLE_PIXELS) -> NDArray[np.generic]:
    """Take every k-th row and column so that at most about ``pixels`` pixels are left.

    Examples
    --------
    >>> thin(np.zeros((100, 100)), pixels=2500).shape
    (50, 50)
    """
    step = step_for(plane.shape[0] * plane.shape[1], pixels)
    return plane[::step, ::step]


def channel_colors(count: int) -> tuple[tuple[float, float, float], ...]:
    """Choose a colour for each of ``count`` channels: white for one, else distinct hues."""
    if count == 1:
        return (WHITE,)
    return tuple(CHANNEL_COLORS[i % len(CHANNEL_COLORS)] for i in range(count))


def as_colors(colors: Sequence[Sequence[float]]) -> tuple[tuple[float, float, float], ...]:
    """Check user-given colours: one (r, g, b) in [0, 1] each.

    Raises
    ------
    ValueError
        If an entry is not three numbers in [0, 1].
    """
    checked: list[tuple[float, float, float]] = []
    for color in colors:
        if len(color) != 3 or not all(0 <= value <= 1 for value in color):
            raise ValueError(f"expected colours as three numbers in [0, 1], got {tuple(color)}")
        red, green, blue = (float(value) for value in color)
        checked.append((red, green, blue))
    return tuple(checked)


def used_channels(image: Image, settings: Settings) -> tuple[int, ...] | None:
    """Return the channels that the settings choose; None for all, or where there is one only.

    Raises
    ------
    InputError
        If a channel is not in the image.
    """
    chosen = settings.channels
    if chosen is None:
        return None
    if not chosen or max(chosen) >= image.channel_count:
        raise InputError(
            f"channels: expected numbers from 0 to {image.channel_count - 1}, got {chosen}"
        )
    return chosen if image.is_rgb or "C" in image.axes else None


def map_intensity(image: Image, settings: Settings) -> IntensityMapping:
    """Choose one mapping for a whole image, whatever part of it will be segmented.

    Parameters
    ----------
    image : Image
        A part of it is read, see `sampling.sample`; nothing if the limits are fixed.
    settings : Settings
        ``channels``, ``colors``, ``limits``, ``percentiles`` and ``invert`` count.

    Raises
    ------
    InputError
        If the number of colours or limits is not that of the channels.
    """
    channels = used_channels(image, settings)
    count = image.channel_count if channels is None else len(channels)
    joint = image.is_rgb and channels is None
    colors = RGB_COLORS if joint else channel_colors(count)
    if settings.colors is not None:
        colors = as_colors(settings.colors)
    limits = settings.limits
    if limits is None:
        samples = sample(image, channels)
        limits = measure_limits(samples, settings.percentiles, joint=joint)
        limits = limits if samples else limits * count
    elif len(limits) == 1:
        limits = limits * count
    for name, got in (("colors", colors), ("limits", limits)):
        if len(got) != count:
            raise InputError(f"{name}: expected one for each of {count} channels, got {len(got)}")
    return IntensityMapping(limits, colors, settings.invert)
