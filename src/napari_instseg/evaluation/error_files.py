"""Errors on disk: a label image and a table an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..io import ngff
from ..io.atomic import replacing
from ..io.label_zarr import write_label_zarr
from ..io.labels import write_labels
from ..io.overlay import object_colors
from ..io.zarr import is_zarr_data
from .assessment import Assessment
from .errors import KINDS, MEANINGS


def write_errors(assessment: Assessment, folder: Path, stem: str) -> list[Path]:
    """Write where a prediction is wrong.

    Parameters
    ----------
    assessment : Assessment
    folder : Path
        Made if it is not there.
    stem : str
        Names become ``<stem>_errors.tif``, or ``.zarr`` where one of both sides is in Zarr, which
        is written chunk by chunk, and ``<stem>_errors.csv``.

    Returns
    -------
    list of Path
        The label image, whose values are the numbers of `errors.KINDS`, and the table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth, labels = assessment.truth, assessment.error_labels
    image, table = folder / f"{stem}_errors.tif", folder / f"{stem}_errors.csv"
    if any(is_zarr_data(s.instances) for s in (truth, assessment.predicted)):
        image = image.with_suffix(".zarr")
        write_label_zarr(image, labels, truth.axes, truth.spacing, _about())
    else:
        write_labels(image, np.asarray(labels), truth.axes, truth.spacing)
    with replacing(table) as partial:
        assessment.error_table.to_csv(partial, index=False, lineterminator="\n")
    return [image, table]


def _about() -> dict[str, object]:
    import pandas as pd

    rows = pd.DataFrame(
        {"index": list(KINDS), "kind": list(KINDS.values()), "meaning": list(MEANINGS.values())}
    )
    return ngff.describe_labels(rows, object_colors(np.array(list(KINDS))))
