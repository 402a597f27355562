"""A prediction held against the truth: scores, errors, and where the errors are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..label_set import LabelSet, beyond_int32, check_int32
from ..ops.lazy import LazyLabels, Painter
from ..progress import Listener, ignore
from .boundary import boundary_distances
from .comparing import compare
from .comparison import Comparison
from .errors import KINDS, Errors, find_errors
from .options import Options
from .scores import Score
from .scoring import score_of


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """One image held against its truth.

    Parameters
    ----------
    predicted, truth : LabelSet
    comparisons, scores, errors : tuples of Comparison, Score, Errors
        One each a plane or volume; of a time-lapse, a frame.
    """

    predicted: LabelSet
    truth: LabelSet
    comparisons: tuple[Comparison, ...]
    scores: tuple[Score, ...]
    errors: tuple[Errors, ...]

    @property
    def error_table(self) -> pd.DataFrame:
        """A row an error; see `Errors`, after a column ``image``."""
        tables = [
            errors.table.assign(image=comparison.name)
            for errors, comparison in zip(self.errors, self.comparisons, strict=True)
        ]
        table = pd.concat(tables, ignore_index=True)
        return table[["image", *(c for c in table if c != "image")]]

    @property
    def error_labels(self) -> LazyLabels:
        """Label image of the errors: numbers of `errors.KINDS`, 0 where there is none."""
        return LazyLabels(self.truth.shape, self._plan, max(KINDS))

    def _plan(self, plane: tuple[int, ...], rows: slice, cols: slice) -> Painter:
        letters = self.comparisons[0].axes
        at = dict(zip(letters, plane, strict=False))
        number = next(
            i
            for i, comparison in enumerate(self.comparisons)
            if all(at[axis] == index for axis, index in comparison.at.items())
        )
        where = (*(slice(i, i + 1) for i in plane), rows, cols)

        def paint() -> NDArray[np.int32]:
            sides = [side.read("instances", where) for side in (self.truth, self.predicted)]
            painted = self.errors[number].paint(sides[0], sides[1])
            return painted.reshape(painted.shape[-2:])

        return paint


def assess(
    predicted: LabelSet,
    truth: LabelSet,
    options: Options | None = None,
    *,
    kind: str = "",
    report: Listener = ignore,
) -> Assessment:
    """Hold a prediction against the truth.

    Parameters
    ----------
    predicted, truth : LabelSet
        See `compare`.
    options : Options, optional
    kind : str
        Kept in the scores.
    report : callable
        Hears of each window before it is read; may raise to stop.

    Returns
    -------
    Assessment

    Raises
    ------
    InputError
        See `compare`.
    """
    options = options or Options()
    predicted, truth = _fitted(_small(predicted), truth), _small(truth)
    threshold = min(options.thresholds)
    comparisons, scores, errors = [], [], []
    for comparison in compare(
        predicted,
        truth,
        categories=options.categories,
        void=options.void,
        kind=kind,
        report=report,
    ):
        distances = (
            boundary_distances(comparison, predicted, truth, threshold) if options.boundary else []
        )
        comparisons.append(comparison)
        scores.append(score_of(comparison, options.thresholds, distances))
        errors.append(find_errors(comparison, threshold, options.poor_below))
    return Assessment(predicted, truth, tuple(comparisons), tuple(scores), tuple(errors))


def _small(side: LabelSet) -> LabelSet:
    """Give objects other numbers where theirs are too large for label sets."""
    labels = side.instances
    if not isinstance(labels, np.ndarray) or not beyond_int32(labels):
        return side
    if len(side.table):
        check_int32(labels, side.name)
    values, places = np.unique(labels, return_inverse=True)
    numbers = places.reshape(labels.shape) + (0 if values[0] == 0 else 1)
    return replace(side, instances=numbers.astype(np.int32))


def _fitted(predicted: LabelSet, truth: LabelSet) -> LabelSet:
    """Give a prediction the truth's axes, if they differ only by plane axes of length 1."""
    sizes = (
        [*(n for n in side.plane_shape if n != 1), *side.shape[-2:]] for side in (predicted, truth)
    )
    outputs = ("instances", "semantic", "panoptic", "ground")
    arrays: dict[str, Any] = {name: getattr(predicted, name) for name in outputs}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    alike = predicted.shape != truth.shape and next(sizes) == next(sizes)
    if not alike or not all(hasattr(array, "reshape") for array in arrays.values()):
        return predicted
    shaped = {name: array.reshape(truth.shape) for name, array in arrays.items()}
    return replace(predicted, axes=truth.axes, **shaped)
