"""Detectron2's panoptic results: a map of segments and ``segments_info``, there and back.

Its category ids are two spaces, one of things and one of stuff, each counting from 0; ours are
one that counts from 1 (see `Categories`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...instances import Instances, Mask
from ...segmenter import InputError
from .categories import Categories


def segments_info(table: pd.DataFrame, categories: Categories) -> list[dict[str, Any]]:
    """List a result's segments as Detectron2 does beside its panoptic map.

    Parameters
    ----------
    table : DataFrame
        `Segmentation.table`; its ``index`` is the value in `Segmentation.panoptic`.
    categories : Categories

    Returns
    -------
    list of dict
        ``id``, ``isthing``, ``category_id`` (contiguous, of things or of stuff), ``area`` (px),
        and for things ``score``.
    """
    return [
        {
            "id": int(row["index"]),
            "isthing": bool(row["is_thing"]),
            "category_id": _contiguous(int(row["category_id"]), bool(row["is_thing"]), categories),
            "area": int(row["area"]),
        }
        | ({"score": float(row["score"])} if row["is_thing"] else {})
        for row in table.to_dict("records")
    ]


def read_segments(
    panoptic: ArrayLike, segments: Sequence[Mapping[str, Any]], categories: Categories
) -> tuple[Instances, NDArray[np.int32]]:
    """Read Detectron2's panoptic result back into objects and stuff.

    Parameters
    ----------
    panoptic : (H, W) integer array
        Segment id of each pixel, 0 is void.
    segments : sequence of mapping
        With ``id``, ``isthing``, ``category_id`` and, for things, ``score`` (1 if there is none).
    categories : Categories

    Returns
    -------
    instances : Instances
        The things, in the order of ``segments``.
    stuff : (H, W) int32 array
        Category id of each pixel of stuff, 0 elsewhere.

    Raises
    ------
    InputError
        If an id in the map is not among the segments, or a category is unknown.
    """
    labels = np.asarray(panoptic)
    unlisted = np.setdiff1d(labels, [0, *(segment["id"] for segment in segments)])
    if unlisted.size:
        raise InputError(
            f"segments_info: expected an entry for each id in the panoptic map, got none for "
            f"{unlisted[:5].tolist()}"
        )
    stuff = np.zeros(labels.shape, np.int32)
    masks, scores, ids = [], [], []
    for segment in segments:
        known = categories.thing_ids if segment["isthing"] else categories.stuff_ids
        index = int(segment["category_id"])
        if not 0 <= index < len(known):
            raise InputError(
                f"segments_info: expected a category_id of 0 to {len(known) - 1}, got {index}"
            )
        here = labels == segment["id"]
        if not segment["isthing"]:
            stuff[here] = known[index]
            continue
        mask = Mask((0, 0), here).tight()
        if mask is not None:
            masks.append(mask)
            scores.append(float(segment.get("score", 1.0)))
            ids.append(int(known[index]))
    height, width = labels.shape
    return Instances.create((height, width), masks, scores=scores, category_ids=ids), stuff


def _contiguous(category_id: int, is_thing: bool, categories: Categories) -> int:
    known = categories.thing_ids if is_thing else categories.stuff_ids
    found = np.flatnonzero(known == category_id)
    if not found.size:
        raise InputError(f"category {category_id} is none of this model's")
    return int(found[0])
