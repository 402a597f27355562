"""Label images out: OME-Zarr 0.5, chunked, compressed, at several resolutions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..hands import OWN_HANDS, Hands
from ..ops.axes import ArrayLike
from ..ops.ids import stored_type
from ..ops.lazy import LazyLabels, Painter
from ..ops.pyramid import halve, level_shapes
from ..progress import Listener, Progress, ignore
from ..segmenter import InputError
from . import ngff
from .atomic import replacing_folder
from .labels import check_labels

#: Rows and columns of a chunk, px: small enough to look at, large enough for few files.
CHUNK = 1024
#: Spans along all axes of an array.
Part: TypeAlias = tuple[slice, ...]


def write_label_zarr(
    path: Path,
    labels: NDArray[np.integer[Any]] | LazyLabels,
    axes: str,
    spacing: Mapping[str, float],
    image_label: Mapping[str, Any],
    hands: Hands = OWN_HANDS,
    report: Listener = ignore,
) -> Path:
    """Write a label image as OME-Zarr.

    Parameters
    ----------
    path : Path
        A folder; replaced if it exists, whole or not at all.
    labels : integer array, or LazyLabels
        Values from 0 on.
    axes : str
        One letter a dimension.
    spacing : mapping of str to float
        µm per pixel by axis letter, where known.
    image_label : mapping
        As `ngff.describe_labels` makes it.
    hands : Hands
        Who paints and writes chunks, each of them in one piece.
    report : callable
        Called before each part that is written; if it raises, ``path`` stays as it was.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    InputError
        If the axes do not fit the array or OME-Zarr, or a value is negative.

    Notes
    -----
    Arrays are uint32 (uint64 for labels that it does not hold) in Zarr 3, with chunks of one plane
    and `CHUNK` px, compressed (Zstandard); chunks without any label are not stored. Axes come in
    the order of the specification: T, one other, Z, Y, X. Level 0 is the label image; each further
    one halves Y and X (`halve`), until neither is larger than a chunk. A chunk is read or written
    at a time, so that little memory is needed beside the labels themselves.
    """
    largest = check_labels(labels, axes)
    order = ngff.order_of(axes)
    axes = "".join(axes[i] for i in order)
    with replacing_folder(path) as partial:
        dtype = stored_type(largest)
        count = _write_levels(partial, labels.transpose(order), dtype, axes, hands, report)
        # Last, so that a folder without all levels is no image.
        _open(partial).attrs["ome"] = {
            "version": ngff.VERSION,
            "multiscales": [ngff.describe_levels(path.stem, axes, spacing, count)],
            ngff.IMAGE_LABEL: dict(image_label),
        }
    return path


def _open(folder: Path) -> Any:
    # Zarr takes a while to import, and is not needed before.
    import zarr

    return zarr.open_group(str(folder), mode="a", zarr_format=3)


def _write_levels(
    folder: Path,
    labels: NDArray[np.integer[Any]] | LazyLabels,
    dtype: np.dtype[np.unsignedinteger[Any]],
    axes: str,
    hands: Hands,
    report: Listener,
) -> int:
    """Write all levels; return their number."""
    from zarr.codecs import ZstdCodec

    group = _open(folder)
    finer: Any = None
    shapes = level_shapes(labels.shape, CHUNK)
    blocks = [_quarter(shape) if level else _chunk(shape) for level, shape in enumerate(shapes)]
    parts = [list(_parts(shape, block)) for shape, block in zip(shapes, blocks, strict=True)]
    done, total = 0, sum(map(len, parts))
    for level, shape in enumerate(shapes):
        array = group.create_array(
            str(level),
            shape=shape,
            chunks=tuple(max(1, n) for n in _chunk(shape)),
            dtype=dtype,
            compressors=(ZstdCodec(),),
            fill_value=0,
            dimension_names=list(axes.lower()),
        )
        if level == 0:
            painters = ((part, _painter(labels, part)) for part in parts[level])
            written = hands.map(partial(_write_painted, array), painters)
        else:
            written = hands.map(partial(_write_halved, array, finer), parts[level])
        report(Progress(done, total, "writing label images"))
        for _ in written:
            done += 1
            report(Progress(done, total, "writing label images"))
        finer = array
    return len(shapes)


def _painter(labels: NDArray[np.integer[Any]] | LazyLabels, part: Part) -> Painter:
    if isinstance(labels, LazyLabels):
        *planes, rows, cols = part
        return labels.painter([span.start for span in planes], rows, cols)
    return partial(np.asarray, labels[part])


def _write_painted(array: Any, what: tuple[Part, Painter]) -> None:
    part, paint = what
    labels = paint()
    if labels.size and (low := labels.min()) < 0:
        raise InputError(f"expected labels from 0 on, got {low}")
    array[part] = labels.reshape([span.stop - span.start for span in part])


def _write_halved(array: Any, finer: ArrayLike, part: Part) -> None:
    """Halve what lies under a chunk of the next coarser level, a quarter at a time."""
    canvas = np.zeros([span.stop - span.start for span in part], array.dtype)
    for quarter in _parts(canvas.shape, _quarter(canvas.shape)):
        *planes, rows, cols = (
            slice(whole.start + span.start, whole.start + span.stop)
            for whole, span in zip(part, quarter, strict=True)
        )
        wide = (slice(2 * span.start, 2 * span.stop) for span in (rows, cols))
        canvas[quarter] = halve(np.asarray(finer[(*planes, *wide)]))
    array[part] = canvas


def _chunk(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*(1 for _ in shape[:-2]), *(min(CHUNK, size) for size in shape[-2:]))


def _quarter(shape: tuple[int, ...]) -> tuple[int, ...]:
    """What becomes of one chunk of the next finer level."""
    *planes, height, width = _chunk(shape)
    return (*planes, max(1, height // 2), max(1, width // 2))


def _parts(shape: tuple[int, ...], chunk: tuple[int, ...]) -> Iterator[Part]:
    """Spans of all blocks of an array, in C order."""
    counts = [-(-size // step) if size else 0 for size, step in zip(shape, chunk, strict=True)]
    for index in np.ndindex(*counts):
        yield tuple(
            slice(i * step, min((i + 1) * step, size))
            for i, step, size in zip(index, chunk, shape, strict=True)
        )
