"""Label images out: compressed TIFF that ImageJ, Bio-Formats, QuPath and napari read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..ops.lazy import LazyLabels
from ..segmenter import InputError
from .atomic import replacing

#: Axes that ImageJ and OME know, in the order they are written in.
STANDARD_AXES = "TZCYX"
#: Largest label: readers of TIFF know no whole numbers of more than 32 bit.
LARGEST = 2**32 - 1


def write_labels(
    path: Path,
    labels: NDArray[np.integer[Any]],
    axes: str,
    spacing: Mapping[str, float] | None = None,
) -> Path:
    """Write a label image as a compressed TIFF with axes and pixel size.

    Parameters
    ----------
    path : Path
        Replaced if it exists, whole or not at all.
    labels : integer array
        Values from 0 to `LARGEST`.
    axes : str
        One letter a dimension.
    spacing : mapping of str to float, optional
        µm per pixel by axis letter.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    InputError
        If the axes do not fit the array, a value is out of range, or there is no pixel.

    Notes
    -----
    Up to 65,535 labels give uint16 as an ImageJ hyperstack, which ImageJ, Bio-Formats, QuPath
    and napari read alike; the type is the same for all images of a batch, and compression (zlib)
    makes up for its size. More labels, or more than 4 GB, give OME-TIFF with uint32, which
    ImageJ opens as 32 bit. Axes are written in the order TZCYX; if there are others, as a plain
    TIFF in the order given.
    """
    check_pixels(labels.shape)
    largest = check_labels(labels, axes)
    if largest > LARGEST:
        raise InputError(
            f"TIFF holds labels up to {LARGEST}, got {largest}: write OME-Zarr, which holds more "
            "(format 'zarr')"
        )
    wide = largest > 65535
    known = set(axes) <= set(STANDARD_AXES)
    if known:
        order = sorted(range(len(axes)), key=lambda i: STANDARD_AXES.index(axes[i]))
        labels, axes = labels.transpose(order), "".join(axes[i] for i in order)
    data = np.ascontiguousarray(labels, dtype=np.uint32 if wide else np.uint16)
    huge = data.nbytes > 2**32 - 2**25
    options = _pixel_size(dict(spacing or {}), axes, ome=known and (wide or huge))
    if known and not wide and not huge and data.shape[-1] == 1:
        # A last axis of one pixel would be taken for samples.
        sizes = dict(zip(axes, data.shape, strict=True))
        data = data.reshape([*(sizes.get(axis, 1) for axis in STANDARD_AXES), 1])
        options["metadata"]["axes"] = f"{STANDARD_AXES}S"
    with replacing(path) as partial:
        tifffile.imwrite(
            partial,
            data,
            imagej=known and not wide and not huge,
            ome=known and (wide or huge),
            bigtiff=huge,
            photometric="minisblack",
            compression="zlib",
            **options,
        )
    return path


def check_pixels(shape: Sequence[int]) -> None:
    """Raise an error for an image without pixels, of which TIFF knows nothing."""
    if 0 in shape:
        raise InputError(
            f"TIFF holds no image without pixels, got shape {tuple(shape)}: write OME-Zarr "
            "(format 'zarr')"
        )


def check_labels(labels: NDArray[np.integer[Any]] | LazyLabels, axes: str) -> int:
    """Check that labels can be written with these axes; return the largest.

    Raises
    ------
    InputError
        If the axes do not fit the array, or a value is negative.
    """
    if len(axes) != labels.ndim or len(set(axes)) != len(axes) or not {"Y", "X"} <= set(axes):
        raise InputError(
            f"expected one axis letter for each dimension of shape {labels.shape}, got {axes!r}"
        )
    if isinstance(labels, LazyLabels):
        return labels.largest
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low < 0:
        raise InputError(f"expected labels from 0 on, got {low} to {high}")
    return high


def _pixel_size(spacing: dict[str, float], axes: str, *, ome: bool) -> dict[str, Any]:
    """What tifffile takes to write axes and spacing."""
    metadata: dict[str, Any] = {"axes": axes}
    options: dict[str, Any] = {"metadata": metadata}
    if ome:
        for axis in set("XYZ") & set(spacing) & set(axes):
            metadata[f"PhysicalSize{axis}"] = spacing[axis]
            metadata[f"PhysicalSize{axis}Unit"] = "µm"
    elif set(axes) <= set(STANDARD_AXES):
        if "X" in spacing or "Z" in spacing:
            metadata["unit"] = "um"
        if "Z" in spacing and "Z" in axes:
            metadata["spacing"] = spacing["Z"]
        if "X" in spacing:
            options["resolution"] = (1 / spacing["X"], 1 / spacing.get("Y", spacing["X"]))
    elif "X" in spacing:
        options["resolution"] = (1e4 / spacing["X"], 1e4 / spacing.get("Y", spacing["X"]))
        options["resolutionunit"] = "CENTIMETER"
    return options
