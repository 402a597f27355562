"""Objects of one plane: boxes, scores, categories and cropped masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """The pixels of one object, cropped.

    Parameters
    ----------
    origin : (int, int)
        Row and column of the crop's first pixel, px.
    pixels : (h, w) bool array
        True inside the object; set read-only.

    Raises
    ------
    ValueError
        If ``pixels`` is not a two-dimensional bool array.
    """

    origin: tuple[int, int]
    pixels: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.dtype != np.bool_:
            raise ValueError(
                "expected mask pixels as a (h, w) bool array, got shape "
                f"{self.pixels.shape} of {self.pixels.dtype}"
            )
        self.pixels.setflags(write=False)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the crop within the plane."""
        (row, col), (height, width) = self.origin, self.pixels.shape
        return slice(row, row + height), slice(col, col + width)

    @property
    def area(self) -> int:
        """Number of pixels, px."""
        return int(np.count_nonzero(self.pixels))

    def shift(self, rows: int, cols: int) -> Mask:
        """Return the mask moved by whole pixels."""
        return Mask((self.origin[0] + rows, self.origin[1] + cols), self.pixels)

    def tight(self) -> Mask | None:
        """Return the mask without empty rows and columns around it; None if it is empty."""
        rows = np.flatnonzero(self.pixels.any(axis=1))
        cols = np.flatnonzero(self.pixels.any(axis=0))
        if rows.size == 0:
            return None
        top, left = int(rows[0]), int(cols[0])
        pixels = self.pixels[top : int(rows[-1]) + 1, left : int(cols[-1]) + 1]
        return Mask((self.origin[0] + top, self.origin[1] + left), pixels)


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """N objects of one plane; N = 0 is normal. Arrays are set read-only.

    Parameters
    ----------
    image_shape : (int, int)
        Height and width of the plane, px.
    boxes : (N, 4) float32
        X and Y of the first, X and Y of the last corner (XYXY), absolute px.
    scores : (N,) float32
        In [0, 1].
    category_ids : (N,) int64
        At least 1.
    masks : tuple of N Mask
        Crops inside the plane.

    Raises
    ------
    ValueError
        If shapes disagree or a value is out of its range; the message names both.
    """

    image_shape: tuple[int, int]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    category_ids: NDArray[np.int64]
    masks: tuple[Mask, ...]

    def __post_init__(self) -> None:
        count = len(self.masks)
        for name, shape in (
            ("boxes", (count, 4)),
            ("scores", (count,)),
            ("category_ids", (count,)),
        ):
            got = getattr(self, name).shape
            if got != shape:
                raise ValueError(f"expected {name} of shape {shape} for {count} masks, got {got}")
        if count and not (np.all(self.scores >= 0) and np.all(self.scores <= 1)):
            raise ValueError(
                f"expected scores in [0, 1], got {self.scores.min()} to {self.scores.max()}"
            )
        if count and self.category_ids.min() < 1:
            raise ValueError(f"expected category_ids of 1 or more, got {self.category_ids.min()}")
        height, width = self.image_shape
        for mask in self.masks:
            rows, cols = mask.slices
            if rows.start < 0 or cols.start < 0 or rows.stop > height or cols.stop > width:
                raise ValueError(
                    f"expected masks inside the plane of {height} x {width} px, got one at rows "
                    f"{rows.start}:{rows.stop}, columns {cols.start}:{cols.stop}"
                )
        for array in (self.boxes, self.scores, self.category_ids):
            array.setflags(write=False)

    @classmethod
    def create(
        cls,
        image_shape: tuple[int, int],
        masks: Iterable[Mask],
        *,
        scores: ArrayLike | None = None,
        category_ids: ArrayLike | None = None,
        boxes: ArrayLike | None = None,
    ) -> Instances:
        """Build from masks; scores default to 1, categories to 1, boxes to the crops' edges."""
        masks = tuple(masks)
        count = len(masks)
        if boxes is None:
            edges = [(c.start, r.start, c.stop, r.stop) for r, c in (m.slices for m in masks)]
            boxes = np.array(edges, np.float32).reshape(-1, 4)
        return cls(
            image_shape,
            _owned(boxes, np.float32),
            np.ones(count, np.float32) if scores is None else _owned(scores, np.float32),
            np.ones(count, np.int64) if category_ids is None else _owned(category_ids, np.int64),
            masks,
        )

    @classmethod
    def empty(cls, image_shape: tuple[int, int]) -> Instances:
        """Build N = 0 objects."""
        return cls.create(image_shape, ())

    @classmethod
    def from_labels(cls, labels: NDArray[np.integer[Any]]) -> Instances:
        """Build one object from each label of a (H, W) label image, in ascending order."""
        from scipy import ndimage

        found = ndimage.find_objects(labels) if labels.size else []
        masks = [
            Mask((area[0].start, area[1].start), labels[area] == i)
            for i, area in enumerate(found, start=1)
            if area is not None
        ]
        height, width = labels.shape
        return cls.create((height, width), masks)

    @classmethod
    def concatenate(cls, parts: Sequence[Instances]) -> Instances:
        """Join the objects of several `Instances` of one plane.

        Raises
        ------
        ValueError
            If there is no part, or the parts' planes differ in shape.
        """
        shapes = {part.image_shape for part in parts}
        if len(shapes) != 1:
            raise ValueError(f"expected parts of one image shape, got {sorted(shapes)}")
        return cls(
            shapes.pop(),
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.category_ids for part in parts]),
            tuple(mask for part in parts for mask in part.masks),
        )

    def __len__(self) -> int:
        return len(self.masks)

    def take(self, which: ArrayLike) -> Instances:
        """Select objects by index or by a bool for each, in that order."""
        index = np.asarray(which)
        if index.dtype == np.bool_:
            index = np.flatnonzero(index)
        index = index.astype(np.intp)
        return Instances(
            self.image_shape,
            self.boxes[index],
            self.scores[index],
            self.category_ids[index],
            tuple(self.masks[i] for i in index),
        )

    def shift(self, rows: int, cols: int, image_shape: tuple[int, int]) -> Instances:
        """Return the objects moved by whole pixels into a plane of another shape."""
        offset = np.array([cols, rows, cols, rows], np.float32)
        return Instances(
            image_shape,
            self.boxes + offset,
            self.scores.copy(),
            self.category_ids.copy(),
            tuple(mask.shift(rows, cols) for mask in self.masks),
        )


def _owned(values: ArrayLike, dtype: Any) -> NDArray[Any]:
    """Copy, so that making it read-only does not touch the caller's array."""
    return np.array(values, dtype=dtype)
