"""The one result of every path: menu, console and command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .instances import Instances
from .label_set import LabelSet
from .ops.axes import Image
from .ops.ids import Ids
from .ops.lapses import TIME, Lapses, Tracked, reach_of
from .ops.linking import LinkRules
from .ops.rendering import Rendering, add_stuff, render
from .ops.volumes import DEPTH, Volumes, step_of, voxel_of
from .result import Result
from .segmenter import USUAL_RULES, Category, Rules
from .settings import Settings

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

    from .io.objects import Objects


@dataclass(frozen=True, eq=False)
class Segmentation(Result):
    """Objects of an image as label images and a table, rendered when first asked for.

    Label images are read-only, since results at other thresholds share them: copy to edit.

    Parameters
    ----------
    raw : tuple of Instances
        All objects above the model's floor, one entry a plane, in C order.
    image : Image
        What was segmented; its pixels are not kept in memory if they were lazy.
    categories : tuple of Category
    settings : Settings
        Those asked for; `score_threshold` decides what is shown.
    details : dict
        What the run found out (device, limits, zoom, ...) and the model, for the recipe.
    stuff : integer array of the label shape, optional
        Category ids from a model with a semantic head.
    warnings : tuple of str
        What the user should know, such as a limit that was reached.
    complete : bool
        False if the run was cancelled.
    rules : Rules
        How the model's objects and stuff become label images.
    seams : DataFrame
        Where the objects of two tiles met; see `remarks.list_seams`.
    """

    raw: tuple[Instances, ...]
    image: Image
    categories: tuple[Category, ...]
    settings: Settings
    details: dict[str, Any]
    stuff: NDArray[np.integer[Any]] | None = None
    warnings: tuple[str, ...] = ()
    complete: bool = True
    rules: Rules = USUAL_RULES
    seams: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def plane_counts(self) -> list[int]:
        """Number of objects above the model's floor in each plane, in C order."""
        return [len(plane) for plane in self.raw]

    @cached_property
    def rendering(self) -> Rendering:
        """All objects painted once, whatever the threshold."""
        image = self.image
        height, width = image.label_shape[-2:]
        return render(
            self.raw,
            image.plane_shape,
            image.plane_axes,
            (height, width),
            self.categories,
            self.settings.model,
            self.rules,
        )

    @property
    def linked(self) -> bool:
        """Whether objects go through Z."""
        return self.settings.link and DEPTH in self.image.plane_axes

    @cached_property
    def _volumes(self) -> Volumes:
        """All objects of the planes, compared once, whatever the threshold."""
        image, settings = self.image, self.settings
        return Volumes(
            self.rendering,
            self.raw,
            image.plane_shape,
            image.plane_axes,
            LinkRules(
                settings.link_overlap,
                settings.link_gap,
                step_of(image.spacing),
                cut_waists=settings.link_waists,
            ),
            min_planes=settings.min_planes,
            fill=settings.link_fill,
            voxel=voxel_of(image.spacing),
        )

    @property
    def tracked(self) -> bool:
        """Whether objects go through T."""
        return self.settings.track and TIME in self.image.plane_axes

    @cached_property
    def _lapses(self) -> Lapses:
        """All objects of the planes, measured once, whatever the threshold."""
        image, settings = self.image, self.settings
        unit = settings.track_distance_unit
        return Lapses(
            self.raw,
            image.plane_shape,
            image.plane_axes,
            linked=self.linked,
            spacing=image.spacing,
            reach=reach_of(settings.track_distance, unit, image.spacing),
            overlap=settings.track_overlap,
            max_gap=settings.track_gap,
            split=settings.track_split,
            min_frames=settings.min_frames,
        )

    @cached_property
    def _objects(self) -> tuple[Rendering, pd.DataFrame]:
        """Objects of planes or through Z, and their links."""
        if self.linked:
            return self._volumes.show(self.score_threshold)
        return self.rendering, pd.DataFrame({"index": [], "z_from": [], "z_to": [], "iou": []})

    @cached_property
    def _tracked(self) -> Tracked:
        """Tracks of these objects."""
        objects = self._objects[0]
        return self._lapses.show(objects, objects.count(self.score_threshold))

    @property
    def _shown(self) -> Rendering:
        """Objects to number and list."""
        return self._tracked.rendering if self.tracked else self._objects[0]

    @property
    def links(self) -> pd.DataFrame:
        """One row a link: index of the object, planes z_from and z_to, and the masks' IoU.

        With tracks, also t: the frame.
        """
        links = self._objects[1]
        if not (self.linked and self.tracked):
            return links
        of, time = links["index"].to_numpy(), self._objects[0].table["t"].to_numpy()
        links = links.assign(index=self._tracked.numbers[of])
        links.insert(1, "t", time[of - 1])
        links = links[links["index"] > 0]
        return links.sort_values(["index", "t", "z_from"], ignore_index=True)

    @property
    def tracks(self) -> pd.DataFrame:
        """One row for each object of a frame, sorted by track and time; none without tracks.

        Columns: track (value in `instances`), parent (the track that it comes from by division;
        0 for none), one for each axis of the label image (t, y, x, ...: index of the plane, or
        centre in px), area (px), score, category.
        """
        if self.tracked:
            return self._tracked.positions
        axes = (axis.lower() for axis in self.image.label_axes)
        columns = ("track", "parent", *axes, "area", "score", "category")
        return pd.DataFrame({name: [] for name in columns})

    @property
    def numbers(self) -> Ids:
        """Value in `instances` of each object in `raw`, one plane after the other; 0 for none."""
        numbers = self._shown.numbers
        return np.where(numbers <= self.count, numbers, numbers.dtype.type(0))

    @property
    def count(self) -> int:
        """Number of objects at the present threshold."""
        return self._shown.count(self.score_threshold)

    @cached_property
    def instances(self) -> Ids:
        """Label image (`Ids`, `image.label_shape`): objects 1..N by falling score, 0 nothing."""
        return _read_only(self._shown.instances(self.count))

    @cached_property
    def _combined(self) -> tuple[NDArray[np.int32], Ids, pd.DataFrame]:
        return add_stuff(
            self._shown,
            self.count,
            self.stuff,
            self.categories,
            self.settings.model,
            self.rules,
        )

    @property
    def semantic(self) -> NDArray[np.int32]:
        """Label image (int32, `image.label_shape`) of category ids, 0 is void."""
        return _read_only(self._combined[0])

    @property
    def panoptic(self) -> Ids:
        """Label image (`Ids`, `image.label_shape`): objects as in `instances`, then stuff."""
        return _read_only(self._combined[1])

    @property
    def table(self) -> pd.DataFrame:
        """One row a segment; ``index`` is its value in `instances` and `panoptic`.

        Columns: index, category_id, category, is_thing, score (in [0, 1]), area and
        hidden_area (px; hidden by better objects), is_box (the mask is all of a box), row_min,
        col_min, row_max, col_max (px, half-open), one column a plane axis (z, t, ...),
        touches_edge, source (the model).

        Objects that are linked through Z have their mean score, weighted by the masks' areas;
        the pixels of all planes as area; the plane where most of them are as z; and more
        columns: z_first, z_last, planes (in which it was found), volume (px, the same as area)
        and, where the pixel sizes are known, volume_um3 (µm³); link_iou_mean and link_iou_min
        (NaN for objects of one plane; each link's is in `links`). touches_edge is about rows
        and columns.

        Tracks have their mean score in the same way, the pixels of all frames as area, the first
        frame as t, and more columns: t_first, t_last, frames (in which it was found), parent
        (index of the track that it comes from by division; 0 for none), area_mean (px a frame),
        path (what its centre has gone, px) and path_um (µm, where the pixel sizes are known).
        Each frame's object is in `tracks`.
        """
        return self._combined[2]

    @property
    def objects(self) -> Objects:
        """All that the model found, to be saved."""
        from .io.objects import Objects

        return Objects(self.raw, self.numbers, self.categories, self.rules, self.stuff)

    @property
    def label_set(self) -> LabelSet:
        """Label images and table, to review, correct, measure and export."""
        return replace(super().label_set, raw=self.raw, numbers=self.numbers, ground=self._ground)

    @property
    def _ground(self) -> NDArray[np.int32] | None:
        """Category id of the stuff at each pixel that is listed, under objects, too."""
        listed = self.table.loc[~self.table["is_thing"].astype(bool), "category_id"]
        if self.stuff is None or listed.empty:
            return None
        return np.where(np.isin(self.stuff, listed), self.stuff, 0).astype(np.int32)

    def with_score_threshold(self, score_threshold: float) -> Segmentation:
        """Return the same result shown at another threshold, without the model.

        Numbers stay: raising the threshold leaves out the last ones. Objects through Z
        and tracks are linked anew, from what the planes have at that threshold, as a run with it
        would do: they may become shorter or fall apart, and their numbers change.
        """
        other = replace(self, settings=self.settings.replace(score_threshold=score_threshold))
        other.__dict__["rendering"] = self.rendering
        if self.linked:
            other.__dict__["_volumes"] = self._volumes
        if self.tracked:
            other.__dict__["_lapses"] = self._lapses
        return other

    def add_to(self, viewer: napari.viewer.Viewer) -> Sequence[napari.layers.Layer]:
        """Add the outputs of the settings to a napari viewer as Labels layers.

        Boxes of a model that finds only these come last, as a Shapes layer.
        """
        from .gui.layers import add_segmentation

        return add_segmentation(viewer, self)


def _read_only(labels: Ids) -> Ids:
    labels.setflags(write=False)
    return labels
