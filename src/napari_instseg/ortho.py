"""A z-stack seen from three sides: planes along Z, along Y and along X, and what they agree on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from .hands import OWN_HANDS, Hands
from .ops.axes import Image
from .ops.consensus import Agreement, agree
from .ops.ids import Ids, ranks_of, with_zero
from .ops.rendering import Rendering
from .ops.results import MemoryShelf, Shelf, TileResult, Watch
from .ops.tiling import Tile
from .ops.volumes import voxel_of
from .pipeline import Run
from .progress import Progress
from .segmentation import Segmentation
from .segmenter import InputError, Segmenter
from .settings import Settings

#: Planes of each direction, and the axis that takes Z's place: none, rows, columns.
DIRECTIONS = (("xy", ""), ("xz", "Y"), ("yz", "X"))
#: Where planes lie so many times farther apart than pixels, they look squeezed from the side.
NEAR_ISOTROPIC = 2.0


def new_run(
    image: Image,
    segmenter: Segmenter,
    settings: Settings,
    *,
    model: dict[str, Any] | None = None,
    shelf: Shelf | None = None,
    hands: Hands = OWN_HANDS,
    watch: Watch | None = None,
) -> Run | OrthoRun:
    """Begin the kind of run that the settings ask for; see `Run`. Of three sides none is shown."""
    if settings.ortho:
        return OrthoRun(image, segmenter, settings, model=model, shelf=shelf, hands=hands)
    return Run(image, segmenter, settings, model=model, shelf=shelf, hands=hands, watch=watch)


class OrthoRun:
    """A run over the planes of all three directions of a z-stack.

    Iterate to work; leave the loop at any step to cancel; `result` gives what is done.

    Parameters
    ----------
    image : Image
        With planes along Z and no other axis; best with about equal pixel sizes along all.
    segmenter : Segmenter
    settings : Settings
    model, shelf, hands
        See `Run`.

    Raises
    ------
    InputError
        If the image is no single z-stack, or the settings do not fit it.
    """

    def __init__(
        self,
        image: Image,
        segmenter: Segmenter,
        settings: Settings,
        *,
        model: dict[str, Any] | None = None,
        shelf: Shelf | None = None,
        hands: Hands = OWN_HANDS,
    ) -> None:
        if image.plane_axes != "Z":
            raise InputError(
                f"ortho: expected a single z-stack (axes ZYX, and C), got axes {image.axes!r}"
            )
        self._shelf = MemoryShelf() if shelf is None else shelf
        self._segmenter, self._settings, self._model = segmenter, settings, model
        self._image, self._done, self._hands = image, 0, hands
        self._runs: list[Run] = []
        self._turn(settings.replace(ortho=False))

    def _turn(self, settings: Settings) -> None:
        """Begin the next direction."""
        side = _Side(self._shelf, len(self._runs))
        image = turned(self._image, DIRECTIONS[len(self._runs)][1])
        run = Run(
            *(image, self._segmenter, settings), model=self._model, shelf=side, hands=self._hands
        )
        self._runs.append(run)

    def __iter__(self) -> Iterator[Progress]:
        """Do the work, one batch of tiles a step."""
        for name, _ in DIRECTIONS:
            if self._done:
                self._turn(self._as_first())
            for step in self._runs[-1]:
                yield replace(step, message=f"{name}: {step.message}")
            self._done += 1

    def _as_first(self) -> Settings:
        """Settings with which the other directions are seen as the first one was."""
        found = self._runs[0].details["resolved"]
        settings = self._settings.replace(
            ortho=False, limits=tuple((low, high) for low, high in found["limits"])
        )
        if "diameter_px" in found:
            settings = settings.replace(diameter=found["diameter_px"], diameter_unit="px")
        return settings

    def result(self) -> Segmentation:
        """Return what the directions agree on; before two are done, what the first has found."""
        first, *others = (run.result() for run in self._runs)
        complete = self._done == len(DIRECTIONS)
        if self._done < 2:
            return replace(first, complete=False)
        notes = [
            f"{name}: {warning}"
            for (name, _), run in zip(DIRECTIONS, (first, *others), strict=False)
            for warning in run.warnings
        ]
        return OrthoSegmentation(
            raw=first.raw,
            image=first.image,
            categories=first.categories,
            settings=self._settings,
            details=first.details,
            warnings=(*_squeezed(first.image), *notes),
            complete=complete,
            rules=first.rules,
            seams=first.seams,
            others=tuple(others[: self._done - 1]),
        )


def turned(image: Image, axis: str) -> Image:
    """Return the image as if Z and another axis were exchanged; "" leaves it as it is."""
    if not axis:
        return image
    names = {"Z": axis, axis: "Z"}
    axes = "".join(names.get(a, a) for a in image.axes)
    spacing = {names.get(a, a): step for a, step in image.spacing.items()}
    return replace(image, axes=axes, spacing=spacing, sources={})


def _squeezed(image: Image) -> list[str]:
    spacing = image.spacing
    if not {*"ZYX"} <= spacing.keys():
        return []
    factor = spacing["Z"] / np.sqrt(spacing["Y"] * spacing["X"])
    if 1 / NEAR_ISOTROPIC <= factor <= NEAR_ISOTROPIC:
        return []
    return [
        f"ortho: planes lie {factor:.1f} times as far apart as pixels; objects look squeezed from "
        "the side: resample the stack to about equal pixel sizes"
    ]


@dataclass(frozen=True, slots=True)
class _Side:
    """A shelf of one direction on the shelf of all."""

    shelf: Shelf
    number: int

    def tile(self, plane: Sequence[int], tile: Tile) -> TileResult | None:
        return self.shelf.tile((self.number, *plane), tile)

    def keep_tile(self, plane: Sequence[int], tile: Tile, result: TileResult) -> None:
        self.shelf.keep_tile((self.number, *plane), tile, result)

    def objects(self, plane: Sequence[int], tile: Tile) -> TileResult:
        return self.shelf.objects((self.number, *plane), tile)

    def keep_objects(self, plane: Sequence[int], tile: Tile, result: TileResult) -> None:
        self.shelf.keep_objects((self.number, *plane), tile, result)

    def plane(self, plane: Sequence[int]) -> Mapping[str, Any] | None:
        return self.shelf.plane((self.number, *plane))

    def keep_plane(self, plane: Sequence[int], about: Mapping[str, Any]) -> None:
        self.shelf.keep_plane((self.number, *plane), about)


@dataclass(frozen=True, eq=False)
class OrthoSegmentation(Segmentation):
    """3-D objects that at least two directions agree on.

    Its table has the columns of linked objects, and directions (in which the object was found)
    and direction_iou (mean 3-D IoU of what they found); links are those of the planes along Z.

    Parameters
    ----------
    others : tuple of Segmentation
        Of the planes along Y and along X; the rest is of those along Z.
    """

    others: tuple[Segmentation, ...] = ()

    @cached_property
    def _objects(self) -> tuple[Rendering, pd.DataFrame]:
        """Objects to number and list, and the links of the planes along Z."""
        own, links = self._volumes.show(self.score_threshold)
        sides = [own.table, *(side.table for side in self.others)]
        # Of the other directions, Z has changed places with rows, or with columns.
        turns = ((0, 1, 2), (1, 0, 2), (2, 1, 0))
        volumes = [
            labels.transpose(turn)
            for labels, turn in zip(
                [own.labels, *(side.instances for side in self.others)], turns, strict=False
            )
        ]
        found = agree(volumes)
        scores, category_ids = _shares(found, sides)
        order = np.argsort(-scores, kind="stable")
        labels = with_zero(ranks_of(order))[found.labels]
        table = self._table(labels, scores[order], category_ids[order])
        table["directions"] = np.count_nonzero(found.members[order], axis=1)
        table["direction_iou"] = found.iou[order]
        mine = np.zeros(len(own.table) + 1, labels.dtype)
        mine[found.members[order, 0]] = np.arange(1, len(order) + 1)
        mine[0] = 0
        links = links.assign(index=mine[links["index"]])
        links = links[links["index"] > 0].reset_index(drop=True)
        return Rendering(labels, table, mine[own.numbers]), links

    def _table(
        self,
        labels: Ids,
        scores: NDArray[np.float32],
        category_ids: NDArray[np.int64],
    ) -> pd.DataFrame:
        """One row an object, with the columns of linked objects."""
        named = {c.id: c.name for c in self.categories}
        rows = []
        for number, box in enumerate(ndimage.find_objects(labels), start=1):
            areas = np.count_nonzero(labels[box] == number, axis=(1, 2))
            z, y, x = box
            edge = min(y.start, x.start) == 0 or y.stop == labels.shape[1]
            edge = edge or x.stop == labels.shape[2]
            rows.append(
                {
                    "area": int(areas.sum()),
                    "row_min": y.start,
                    "col_min": x.start,
                    "row_max": y.stop,
                    "col_max": x.stop,
                    "z": z.start + int(areas.argmax()),
                    "touches_edge": edge,
                    "z_first": z.start,
                    "z_last": z.stop - 1,
                    "planes": int(np.count_nonzero(areas)),
                    "volume": int(areas.sum()),
                }
            )
        columns = ("area", "row_min", "col_min", "row_max", "col_max", "z", "touches_edge")
        table = pd.DataFrame(rows, columns=[*columns, "z_first", "z_last", "planes", "volume"])
        table.insert(0, "index", np.arange(1, len(rows) + 1))
        table.insert(1, "category_id", category_ids)
        table.insert(2, "category", [named.get(i, f"category {i}") for i in category_ids])
        table.insert(3, "is_thing", True)
        table.insert(4, "score", scores)
        table.insert(6, "hidden_area", 0)
        table.insert(7, "is_box", False)
        table.insert(14, "source", self.settings.model)
        voxel = voxel_of(self.image.spacing)
        if voxel is not None:
            table["volume_um3"] = table["volume"] * voxel
        return table

    def with_score_threshold(self, score_threshold: float) -> OrthoSegmentation:
        """Return the same result shown at another threshold, without the model."""
        others = tuple(side.with_score_threshold(score_threshold) for side in self.others)
        settings = self.settings.replace(score_threshold=score_threshold)
        other = replace(self, settings=settings, others=others)
        other.__dict__["_volumes"] = self._volumes
        return other


def _shares(
    found: Agreement, tables: Sequence[pd.DataFrame]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Mean score of each object's members, weighted by volume, and the best member's category."""
    count = len(found.members)
    total, weights = np.zeros((2, count))
    best, category_ids = np.full(count, -1.0), np.zeros(count, np.int64)
    for table, members in zip(tables, found.members.T, strict=True):
        here = np.flatnonzero(members)
        rows = table.iloc[members[here] - 1]
        scores, volume = rows["score"].to_numpy(np.float64), rows["area"].to_numpy(np.float64)
        total[here] += scores * volume
        weights[here] += volume
        better = scores > best[here]
        best[here[better]] = scores[better]
        category_ids[here[better]] = rows["category_id"].to_numpy()[better]
    return (total / np.maximum(weights, 1)).astype(np.float32), category_ids
