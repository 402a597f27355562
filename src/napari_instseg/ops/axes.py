"""Images of any dimensionality, and how they fall into planes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import EllipsisType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..segmenter import InputError
from .axis_names import GUESSED, meaning

#: Axis letters with a meaning of their own: rows, columns, channels, RGB(A) samples.
CHANNEL, SAMPLE = "C", "S"


class ArrayLike(Protocol):
    """What is asked of an image: NumPy, dask and Zarr arrays have it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of each dimension."""
        ...

    @property
    def dtype(self) -> Any:
        """Type of the pixels."""
        ...

    def __getitem__(self, key: Any) -> Any:
        """Read a part."""
        ...


@dataclass(frozen=True, eq=False)
class Image:
    """An image with named axes.

    Parameters
    ----------
    data : array of bool, integer or float
        NumPy, dask, Zarr or alike; only the parts that are needed are read.
    axes : str
        One letter a dimension: Y and X; C for channels or S (last) for RGB or RGBA samples;
        any other (T, Z, ...) makes planes.
    spacing : mapping of str to float
        µm per pixel by axis letter; empty where unknown.
    name : str
    sources : mapping of str to str
        What the letters are known from, see `axis_names.NamedAxes`; empty where the axes were
        given.
    coarse : array, optional
        The same image, with the same axes, at the lowest resolution there is.

    Raises
    ------
    InputError
        If the axes do not fit the data, or the data are not numbers.

    Examples
    --------
    >>> image = Image(np.zeros((5, 2, 64, 32)), "TCYX")
    >>> image.plane_axes, image.label_shape, image.channel_count
    ('T', (5, 64, 32), 2)
    """

    data: ArrayLike
    axes: str
    spacing: Mapping[str, float] = field(default_factory=dict)
    name: str = "image"
    sources: Mapping[str, str] = field(default_factory=dict)
    coarse: ArrayLike | None = None

    def __post_init__(self) -> None:
        shape, axes = tuple(self.data.shape), self.axes
        if len(axes) != len(shape):
            raise InputError(
                f"expected one axis letter for each of {len(shape)} dimensions, got axes "
                f"{axes!r} for shape {shape}"
            )
        if len(set(axes)) != len(axes) or not {"Y", "X"} <= set(axes):
            raise InputError(f"expected axes with Y and X, each letter once, got {axes!r}")
        if SAMPLE in axes and (CHANNEL in axes or axes[-1] != SAMPLE):
            raise InputError(f"expected S (RGB samples) as the last axis, without C, got {axes!r}")
        if SAMPLE in axes and shape[-1] not in (3, 4):
            raise InputError(f"expected 3 or 4 RGB samples, got {shape[-1]} (shape {shape})")
        kind = np.dtype(self.data.dtype).kind
        if kind not in "buif":
            raise InputError(
                f"expected an image of bool, integers or floats, got {self.data.dtype}; complex "
                "images need their magnitude taken first"
            )
        if any(value <= 0 for value in self.spacing.values()):
            raise InputError(f"expected pixel sizes above 0 µm, got {dict(self.spacing)}")

    @property
    def plane_axes(self) -> str:
        """Letters of the axes that make planes, in their order."""
        return "".join(a for a in self.axes if a not in "YXCS")

    @property
    def plane_shape(self) -> tuple[int, ...]:
        """Number of planes along each of `plane_axes`."""
        return tuple(self._size(a) for a in self.plane_axes)

    @property
    def label_axes(self) -> str:
        """Axes of label images: plane axes, then YX."""
        return self.plane_axes + "YX"

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Shape of label images."""
        return (*self.plane_shape, self._size("Y"), self._size("X"))

    @property
    def channel_count(self) -> int:
        """Number of channels; 3 for RGB and RGBA."""
        if SAMPLE in self.axes:
            return 3
        return self._size(CHANNEL) if CHANNEL in self.axes else 1

    @property
    def is_rgb(self) -> bool:
        """Whether the channels are the samples of a colour picture."""
        return SAMPLE in self.axes

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know: which planes and channels were guessed."""
        guessed = [
            f"{a} ({meaning(a)}, {self._size(a)})"
            for a in self.axes
            if a not in "YXS" and self.sources.get(a) == GUESSED and self._size(a) > 1
        ]
        if not guessed:
            return ()
        were = "was" if len(guessed) == 1 else "were"
        return (
            f"axes {self.axes}: {' and '.join(guessed)} {were} {GUESSED}; name the axes if that is "
            "not right",
        )

    @cached_property
    def sample_sha256(self) -> str:
        """By which the image is known again, see `identity.sample_sha256`; read once."""
        from .identity import sample_sha256

        return sample_sha256(self)

    def _size(self, axis: str) -> int:
        return int(self.data.shape[self.axes.index(axis)])

    def read(
        self,
        plane: Sequence[int],
        rows: slice,
        cols: slice,
        channels: Sequence[int] | None = None,
    ) -> NDArray[Any]:
        """Read a part of one plane.

        Parameters
        ----------
        plane : sequence of int
            Index along each of `plane_axes`.
        rows, cols : slice
            With non-negative bounds and, for thinning, a step.
        channels : sequence of int, optional
            Channels to keep, in this order; None keeps all.

        Returns
        -------
        (H, W) array without a channel axis, else (H, W, C), in the image's dtype

        Raises
        ------
        InputError
            If pixels on disk are damaged, or the image is a Zarr array whose folder is gone.
        """
        if channels is not None and self._far_apart(channels):
            single = [self.read(plane, rows, cols, (channel,)) for channel in channels]
            return np.concatenate(single, axis=-1)
        where = dict(zip(self.plane_axes, plane, strict=True))
        first, stop = (0, None) if channels is None else (min(channels), max(channels) + 1)
        spans = {"Y": rows, "X": cols, SAMPLE: slice(0, 3), CHANNEL: slice(first, stop)}
        key: list[int | slice | EllipsisType] = []
        for axis in self.axes:
            key.append(int(where[axis]) if axis in where else spans[axis])
        part = self._cut(tuple(key))
        _check_there(self.data)
        kept = [a for a in self.axes if a in "YXCS"]
        order = [kept.index(a) for a in ("Y", "X", CHANNEL, SAMPLE) if a in kept]
        part = part.transpose(order)
        if channels is not None and part.ndim == 3:
            start = first if CHANNEL in self.axes else 0
            part = part[..., [c - start for c in channels]]
        return part

    def _cut(self, key: tuple[int | slice | EllipsisType, ...]) -> NDArray[Any]:
        try:
            return np.asarray(self.data[key])
        except InputError:
            raise
        except (RuntimeError, ValueError) as error:
            # What codecs of Zarr and TIFF raise.
            raise InputError(
                f"{self.name}: a part of the image cannot be read ({error}): its file is damaged "
                "there; bring back a whole one, and go on with the run"
            ) from error

    def _far_apart(self, channels: Sequence[int]) -> bool:
        """Whether channels lie in chunks of their own, with others between them."""
        chunks = getattr(self.data, "chunks", None)
        if CHANNEL not in self.axes or not chunks:
            return False
        # One size for all in Zarr, all sizes in dask.
        alone = np.max(chunks[self.axes.index(CHANNEL)]) == 1
        return bool(alone) and max(channels) - min(channels) >= len(channels)

    def planes(self) -> list[tuple[int, ...]]:
        """Index of every plane, in C order; one empty index for a 2-D image."""
        return list(np.ndindex(*self.plane_shape))


def _check_there(data: object) -> None:
    """Raise an error if the folder of a Zarr array has gone, such as one on a network share.

    A chunk without a file is one of background: of an array that is gone all would be.
    """
    root = getattr(getattr(data, "store", None), "root", None)
    if root is None:
        return
    folder = Path(root, str(getattr(data, "path", "")))
    if not any((folder / name).is_file() for name in ("zarr.json", ".zarray")):
        raise InputError(
            f"{folder}: expected the image there, it has gone while it was being read; bring it "
            "back (is the disk or the network share there?), and go on with the run"
        )


def one_plane(image: Image, plane: tuple[int, ...]) -> Image:
    """Cut one plane (all channels) out of an image; lazy data stay lazy."""
    if not plane:
        return image
    where = dict(zip(image.plane_axes, plane, strict=True))
    data = image.data[tuple(where.get(letter, slice(None)) for letter in image.axes)]
    axes = "".join(letter for letter in image.axes if letter not in where)
    return replace(image, data=data, axes=axes, coarse=None)
