"""What is to be refined, whatever form it comes in: one prompt an object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..instances import Instances, Mask
from ..io.images import read_labels
from ..ops.morphing import interior_points
from ..segmentation import Segmentation
from ..segmenter import InputError
from .prompts import Prompt
from .refine_settings import BOX_AND_POINT, MASK, RefineSettings

if TYPE_CHECKING:
    from .session import PromptSession

LABELS, BOXES, POINTS = KINDS = ("labels", "boxes", "points")
#: Numbers in a row of each kind, after the plane's index.
_COLUMNS = {BOXES: 4, POINTS: 2}


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """An object that is to be refined.

    Parameters
    ----------
    plane : tuple of int
    prompt : Prompt
    mask : Mask, optional
        What it is now; None for a box or a point.
    score : float, optional
        The detector's; None: there is none, and predicted IoU takes its place.
    category_id : int
    asked : bool
        False: it stays as it is.
    """

    plane: tuple[int, ...]
    prompt: Prompt
    mask: Mask | None = None
    score: float | None = None
    category_id: int = 1
    asked: bool = True


def targets_of(
    session: PromptSession, what: Any, kind: str | None, settings: RefineSettings
) -> list[Target]:
    """List what is to be refined, plane by plane.

    Parameters
    ----------
    session : PromptSession
    what : Segmentation, path or array
        A path is one of a label image. Labels are integers of the image's label shape; boxes
        (N, 4) and points (N, 2) are in px, with the index along each plane axis before these.
    kind : {"labels", "boxes", "points"}, optional
        What an array is, where its shape leaves that open.
    settings : RefineSettings

    Raises
    ------
    InputError
        If it is none of these, or does not fit the image.
    """
    if isinstance(what, Segmentation):
        return list(_of_segmentation(session, what, settings))
    is_path = isinstance(what, (str, Path))
    array = read_labels(what) if is_path else np.asarray(what)
    kind = LABELS if is_path else kind or _kind(array, session)
    if kind == LABELS:
        return list(_of_labels(session, array, settings))
    return list(_of_rows(session, array, kind))


def _of_segmentation(
    session: PromptSession, what: Segmentation, settings: RefineSettings
) -> Iterator[Target]:
    if what.image.label_shape != session.image.label_shape:
        raise InputError(
            f"refine: expected a segmentation of an image of {session.image.label_shape}, got "
            f"one of {what.image.label_shape}"
        )
    least = what.score_threshold if settings.min_score is None else settings.min_score
    for plane, instances in zip(session.planes, what.raw, strict=True):
        for i, mask in enumerate(instances.masks):
            tight = mask.tight()
            if tight is None:
                continue
            left, top, right, bottom = (float(edge) for edge in instances.boxes[i])
            # A detector's own box says more than its mask's outline does.
            box = (top, left, bottom, right) if top < bottom and left < right else None
            score = float(instances.scores[i])
            yield Target(
                plane,
                _prompt(tight, settings, box),
                tight,
                score,
                int(instances.category_ids[i]),
                score >= least,
            )


def _of_labels(
    session: PromptSession, labels: NDArray[Any], settings: RefineSettings
) -> Iterator[Target]:
    shape = session.image.label_shape
    if labels.shape != shape or labels.dtype.kind not in "iu":
        raise InputError(
            f"labels: expected integers of shape {shape}, got {labels.dtype} of {labels.shape}"
        )
    for plane in session.planes:
        for mask in Instances.from_labels(np.asarray(labels[plane])).masks:
            yield Target(plane, _prompt(mask, settings, None), mask)


def _of_rows(session: PromptSession, rows: NDArray[Any], kind: str) -> Iterator[Target]:
    axes = len(session.image.plane_shape)
    columns = _COLUMNS.get(kind)
    if columns is None:
        raise InputError(f"kind: expected one of {KINDS}, got {kind!r}")
    if rows.ndim != 2 or rows.shape[1] != axes + columns or rows.dtype.kind not in "biuf":
        raise InputError(
            f"{kind}: expected numbers of shape (N, {axes + columns}), the index along each of "
            f"{axes} plane axes first, got {rows.dtype} of {rows.shape}"
        )
    # Planes in order, so that pictures are looked at one after the other.
    for row in sorted(rows.astype(np.float64).tolist(), key=lambda r: r[:axes]):
        plane = session.plane([round(index) for index in row[:axes]])
        numbers = row[axes:]
        prompt = (
            Prompt(points=((numbers[0], numbers[1]),))
            if kind == POINTS
            else Prompt(box=(numbers[0], numbers[1], numbers[2], numbers[3]))
        )
        yield Target(plane, prompt.within(session.plane_shape))


def _kind(array: NDArray[Any], session: PromptSession) -> str:
    shape, axes = session.image.label_shape, len(session.image.plane_shape)
    if array.shape == shape and array.dtype.kind in "iu":
        return LABELS
    for kind, columns in _COLUMNS.items():
        if array.ndim == 2 and array.shape[1] == axes + columns:
            return kind
    raise InputError(
        f"refine: expected a Segmentation, labels of shape {shape}, boxes (N, {axes + 4}) or "
        f"points (N, {axes + 2}), got {array.dtype} of {array.shape}"
    )


def _prompt(
    mask: Mask, settings: RefineSettings, box: tuple[float, float, float, float] | None
) -> Prompt:
    rows, cols = mask.slices
    edges = box or (rows.start, cols.start, rows.stop, cols.stop)
    if settings.prompt == MASK:
        return Prompt(box=edges, mask=mask)
    points: Sequence[tuple[float, float]] = ()
    if settings.prompt == BOX_AND_POINT:
        points = [(row, col) for row, col in interior_points(mask, 1).tolist()]
    return Prompt(points=tuple(points), box=edges)
