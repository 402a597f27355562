"""What a propagation has found: one object through a stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...instances import Mask
from ...ops.axes import Image
from ...segmenter import InputError
from .settings import PropagationSettings

GIVEN, FOUND, BETWEEN = "given", "found", "between"


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """The object on one plane.

    Parameters
    ----------
    mask : Mask
    score : float
        Predicted IoU, in [0, 1]; 1 where the mask was given.
    iou : float
        IoU with the mask that was expected here: that of the neighbour nearer to the given
        plane, moved; 1 where the mask was given.
    seed : int
        The given plane that it came from; in a gap, the nearer one.
    kind : {"given", "found", "between"}
        "between": the model did not agree, so it is interpolated from its neighbours.
    """

    mask: Mask
    score: float
    iou: float
    seed: int
    kind: str

    @property
    def trust(self) -> float:
        """The lower of score and IoU; 0 where it was interpolated."""
        return 0.0 if self.kind == BETWEEN else min(self.score, self.iou)


@dataclass(frozen=True, eq=False)
class Propagated:
    """One object through a stack.

    Parameters
    ----------
    image : Image
    axis : str
        Letter of the axis that it goes along.
    plane : tuple of int
        Index along each of the other plane axes.
    sections : mapping of int to Section
        By index along the axis, ascending and without a gap.
    before, after : str
        Why it ends where it does, at its first and its last plane.
    settings : PropagationSettings
    complete : bool
        False if the run was cancelled.
    """

    image: Image
    axis: str
    plane: tuple[int, ...]
    sections: Mapping[int, Section]
    before: str
    after: str
    settings: PropagationSettings
    complete: bool = True

    def __len__(self) -> int:
        return len(self.sections)

    @property
    def first(self) -> int:
        """Index of the first plane."""
        return min(self.sections)

    @property
    def last(self) -> int:
        """Index of the last plane."""
        return max(self.sections)

    @property
    def voxels(self) -> int:
        """Number of pixels on all planes."""
        return sum(section.mask.area for section in self.sections.values())

    def weakest(self) -> int:
        """Index of the plane that most deserves a look: the least `Section.trust`."""
        return min(self.sections, key=lambda index: self.sections[index].trust)

    def plane_index(self, index: int) -> tuple[int, ...]:
        """Index along each of the image's plane axes of a plane of the object."""
        return plane_index(self.image, self.axis, self.plane, index)

    def cut(self, first: int, last: int) -> Propagated:
        """Return the part from one plane to another, both included.

        Raises
        ------
        InputError
            If nothing is left.
        """
        kept = {k: section for k, section in self.sections.items() if first <= k <= last}
        if not kept:
            raise InputError(
                f"cut: expected planes within {self.first} to {self.last}, got {first} to {last}"
            )
        return replace(
            self,
            sections=kept,
            before=self.before if first <= self.first else f"cut at {self.axis.lower()} {first}",
            after=self.after if last >= self.last else f"cut at {self.axis.lower()} {last}",
        )

    def indices(self) -> tuple[NDArray[np.intp], ...]:
        """Index of all its pixels, one array for each of `Image.label_axes`."""
        parts = []
        for index, section in self.sections.items():
            inside = np.nonzero(section.mask.pixels)
            count = len(inside[0])
            parts.append(
                [np.full(count, i) for i in self.plane_index(index)]
                + [x + start for x, start in zip(inside, section.mask.origin, strict=True)]
            )
        joined = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
        return tuple(column.astype(np.intp) for column in joined)

    def paint(self, labels: NDArray[np.integer[Any]], value: int, *, over: bool = False) -> int:
        """Write the object into labels, by default only where nothing is.

        Parameters
        ----------
        labels : integer array of `Image.label_shape`
            Painted on; anything that NumPy can index, such as a Zarr array's `vindex`, but a
            plane at a time.
        value : int
        over : bool
            Write over other objects too.

        Returns
        -------
        int
            Number of pixels that were changed.

        Raises
        ------
        InputError
            If the labels are of another shape.
        """
        if tuple(labels.shape) != self.image.label_shape:
            raise InputError(
                f"paint: expected labels of shape {self.image.label_shape}, got {labels.shape}"
            )
        changed = 0
        for index, section in self.sections.items():
            where: tuple[int | slice, ...] = (*self.plane_index(index), *section.mask.slices)
            window = np.array(labels[where])
            free = section.mask.pixels & ((window != value) if over else (window == 0))
            window[free] = value
            labels[where] = window
            changed += int(np.count_nonzero(free))
        return changed

    def to_json(self) -> dict[str, Any]:
        """Return what was done and why it ended, as values that JSON can hold."""
        return {
            "axis": self.axis,
            "plane": list(self.plane),
            "settings": self.settings.to_json(),
            "before": self.before,
            "after": self.after,
            "complete": self.complete,
            "sections": [
                {
                    "index": index,
                    "kind": s.kind,
                    "seed": s.seed,
                    "score": s.score,
                    "iou": s.iou,
                    "area": s.mask.area,
                }
                for index, s in self.sections.items()
            ],
        }


def plane_index(image: Image, axis: str, others: tuple[int, ...], index: int) -> tuple[int, ...]:
    """Index along each plane axis, from that along one of them and along the others."""
    place = image.plane_axes.index(axis)
    return (*others[:place], index, *others[place:])
