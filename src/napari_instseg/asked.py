"""What a run is asked for, checked against the image and the model."""

from __future__ import annotations

from collections.abc import Sequence

from .ops.axes import Image
from .ops.lapses import TIME
from .ops.tiling import Tile, tile_of
from .ops.volumes import DEPTH
from .segmenter import InputError, ResizingSegmenter, Segmenter
from .settings import AS_TRAINED, Settings


def resizing(segmenter: Segmenter, settings: Settings) -> Segmenter:
    """Return the segmenter that resizes tiles, if that is wanted."""
    if settings.diameter != AS_TRAINED:
        return segmenter
    if not isinstance(segmenter, ResizingSegmenter):
        raise InputError(
            f"diameter: the model {settings.model!r} was not trained on pictures of one size; "
            "expected None (native), 'auto' or a number instead of 'as trained'"
        )
    return segmenter.as_trained()


def unlinked(image: Image, settings: Settings) -> list[str]:
    """Say that nothing is linked or tracked where planes are not those of Z or T."""
    axes = image.plane_axes
    notes = []
    if settings.link and axes and DEPTH not in axes:
        notes.append(
            f"link: only planes along Z are linked; those along {axes} were left as they are"
        )
    if settings.track and axes and TIME not in axes:
        notes.append(
            f"track: only planes along T are tracked; those along {axes} were left as they are"
        )
    return notes


def planes_of(image: Image, planes: Sequence[tuple[int, ...]] | None) -> list[tuple[int, ...]]:
    """Return the planes that were asked for, all by default."""
    known = image.planes()
    if planes is None:
        return known
    chosen = [tuple(plane) for plane in planes]
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        raise InputError(
            f"planes: expected indices along {image.plane_axes or 'no axis'} within "
            f"{image.plane_shape}, got {unknown[0]}"
        )
    return chosen


def region_of(image: Image, region: tuple[slice, slice] | None) -> Tile:
    """Return the rows and columns that were asked for, all by default."""
    height, width = image.label_shape[-2:]
    if region is None:
        return Tile(0, 0, height, width)
    return tile_of(region, (height, width))
