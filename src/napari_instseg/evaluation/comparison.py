"""The labels of one image and of its truth, side by side: what all measures are taken from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .overlap import Overlap


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """What is known of the labels of one side.

    Parameters
    ----------
    categories : (N,) int64
        Place in `Comparison.names`; -1 for no segment, such as 0.
    is_thing, is_crowd : (N,) bool
    scores : (N,) float64
    """

    categories: NDArray[np.int64]
    is_thing: NDArray[np.bool_]
    is_crowd: NDArray[np.bool_]
    scores: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """A prediction and the truth of one plane or volume.

    Parameters
    ----------
    name, kind : str
    names : tuple of str
        Of all categories of both sides.
    things : tuple of bool
        Which of these are countable.
    overlap : Overlap
        Of all segments.
    truth, predicted : Objects
        Of the overlap's labels.
    has_void : bool
        Pixels without a label in the truth are unlabelled: nothing on them is right or wrong.
        Else they are background.
    has_scores : bool
        The prediction's scores differ.
    at : mapping of str to int
        Which plane or volume it is, by axis.
    axes : str
        Letters of the overlap's dimensions.
    """

    name: str
    kind: str
    names: tuple[str, ...]
    things: tuple[bool, ...]
    overlap: Overlap
    truth: Objects
    predicted: Objects
    has_void: bool = False
    has_scores: bool = False
    at: Mapping[str, int] = field(default_factory=dict)
    axes: str = "YX"

    @cached_property
    def void_pixels(self) -> NDArray[np.int64]:
        """Unlabelled pixels in each predicted label, px; none where they are background."""
        return self._pixels(self.truth.categories[self.overlap.rows] < 0) * self.has_void

    @cached_property
    def ignored_pixels(self) -> NDArray[np.int64]:
        """Pixels of each predicted label that count for nothing: unlabelled ones, and crowds."""
        rows = self.overlap.rows
        return self.void_pixels + self._pixels(self.truth.is_crowd[rows])

    @cached_property
    def excused(self) -> NDArray[np.bool_]:
        """Predicted labels that are no error: more than half on void and crowds of their kind."""
        truth, predicted, overlap = self.truth, self.predicted, self.overlap
        own = truth.categories[overlap.rows] == predicted.categories[overlap.cols]
        crowd = self._pixels(truth.is_crowd[overlap.rows] & own)
        return np.asarray((crowd + self.void_pixels) > 0.5 * overlap.predicted_areas, np.bool_)

    @cached_property
    def kept(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which labels of either side are objects that count."""
        return self.truth.is_thing & ~self.truth.is_crowd, self.predicted.is_thing

    @cached_property
    def objects(self) -> Overlap:
        """The overlap of objects alone, without background, stuff and crowds.

        Areas of predicted ones are without unlabelled pixels.
        """
        return self._labelled.take(*self.kept)

    def of_category(self, place: int) -> tuple[Overlap, NDArray[np.bool_]]:
        """The overlap of one category's objects, and which predicted ones are excused."""
        truth = self.kept[0] & (self.truth.categories == place)
        predicted = self.kept[1] & (self.predicted.categories == place)
        return self._labelled.take(truth, predicted), self.excused[predicted]

    @property
    def _labelled(self) -> Overlap:
        areas = self.overlap.predicted_areas - self.void_pixels
        return replace(self.overlap, predicted_areas=areas)

    def _pixels(self, which: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Pixels of each predicted label in some of the pairs."""
        overlap = self.overlap
        counted = np.bincount(
            overlap.cols[which], overlap.shared[which], minlength=len(overlap.predicted)
        )
        return counted.astype(np.int64)
