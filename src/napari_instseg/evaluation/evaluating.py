"""One function for whatever a user has: results, labels, files, folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..exporting import label_sets_of
from ..label_set import LabelSet
from ..progress import Listener, ignore
from ..result import Result
from .assessment import assess
from .folders import evaluate_folders, open_side
from .options import Options
from .report import Report


def evaluate(
    predicted: Any,
    truth: Any,
    *,
    axes: str | None = None,
    report: Listener = ignore,
    **options: Any,
) -> Report:
    """Compare labels with the truth.

    Parameters
    ----------
    predicted, truth : LabelSet, Segmentation, napari Labels layer, integer array, or path
        Of the same shape; two paths may be folders, or files with several images: see
        `evaluate_folders`. NumPy, dask or Zarr; may be larger than memory.
    axes : str, optional
        Of arrays, one letter a dimension, the last two Y and X; None guesses.
    report : callable
        Hears of each window before it is read; may raise to stop.
    **options
        Fields of `Options`.

    Returns
    -------
    Report
        ``print`` shows all of it; ``pooled`` has the numbers, ``errors`` a row an error.

    Raises
    ------
    InputError
        If there is no such option, or both sides do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.array([[1, 1, 0, 2], [1, 1, 0, 2]])
    >>> report = evaluate(np.where(truth == 1, 7, 0), truth)
    >>> report.pooled.matches[0.5].recall, report.errors["kind"].tolist()
    (0.5, ['missed'])
    """
    asked = Options.of(options)
    if isinstance(predicted, (str, Path)) and isinstance(truth, (str, Path)):
        return evaluate_folders(predicted, truth, options=asked, report=report)
    found, wanted = _label_set(predicted, axes), _label_set(truth, axes)
    return Report.of([assess(found, wanted, asked, report=report)], asked)


def _label_set(labels: Any, axes: str | None) -> LabelSet:
    if isinstance(labels, (str, Path)):
        return open_side(Path(labels).expanduser())
    if isinstance(labels, (LabelSet, Result)) or hasattr(labels, "_type_string"):
        (found,) = label_sets_of(labels)
        return found
    return LabelSet.from_labels(labels, axes, listed=False)
