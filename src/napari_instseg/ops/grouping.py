"""Rows of planes that are one object: its number, its score, and its row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .ids import Ids, ranks_of

#: How a row of a group is made of its rows' columns; of others the first value is taken.
COMBINED = {
    **dict.fromkeys(("area", "hidden_area"), "sum"),
    **dict.fromkeys(("row_min", "col_min"), "min"),
    **dict.fromkeys(("row_max", "col_max", "touches_edge"), "max"),
}


def rank_groups(
    of: NDArray[np.int64],
    scores: NDArray[np.floating],
    weight: NDArray[np.float64],
    least: float,
) -> tuple[Ids, NDArray[np.float32]]:
    """Number groups by falling score, the weighted mean of their rows'.

    Parameters
    ----------
    of : (N,) int64
        Group of each row, 0..K-1, none without a row; rows come by falling score.
    scores, weight : (N,) float
    least : float
        Least score of all rows.

    Returns
    -------
    numbers : (K,) int32 or int64
        1..K; groups of equal score are ordered by their first row.
    scores : (K,) float32
        Of the groups in the order of their numbers.

    Examples
    --------
    >>> rank_groups(np.array([1, 0, 1]), np.array([0.9, 0.8, 0.5]), np.ones(3), 0.5)
    (array([1, 2], dtype=int32), array([0.8, 0.7], dtype=float32))
    """
    weight = np.maximum(weight, 1)
    total = np.bincount(of, weight * scores.astype(np.float64))
    mean = (total / np.bincount(of, weight)).astype(np.float32)
    # A mean of scores that have the least one has it, too, but for rounding.
    mean = np.maximum(mean, np.float32(least))
    first = np.full(len(mean), len(of))
    np.minimum.at(first, of, np.arange(len(of)))
    order = np.lexsort((first, -mean))
    return ranks_of(order), mean[order]


def merge_rows(rows: pd.DataFrame, how: Mapping[str, str]) -> pd.DataFrame:
    """Make one row of all that have the same ``index``, in its order.

    Parameters
    ----------
    rows : DataFrame
        As of `Rendering.table`; column ``index`` is the number of the object.
    how : mapping of str to str
        How other columns than those of `COMBINED` are combined, if not by their first value.
    """
    combine = dict.fromkeys(rows.columns, "first") | COMBINED | dict(how)
    table = rows.groupby(rows["index"].to_numpy()).agg(combine).reset_index(drop=True)
    table["index"] = table["index"].astype(np.int64)
    return table
