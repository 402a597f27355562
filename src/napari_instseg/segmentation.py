"""The one result of every path: menu, console and command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .instances import Instances
from .ops.axes import Image
from .ops.linking import LinkRules
from .ops.rendering import Rendering, add_stuff, render
from .ops.volumes import DEPTH, Volumes, step_of, voxel_of
from .progress import Listener, ignore
from .segmenter import USUAL_RULES, Category, Rules
from .settings import Settings

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

RECIPE_SCHEMA = 1


class Result:
    """What every result has, wherever its objects are kept."""

    image: Image
    categories: tuple[Category, ...]
    settings: Settings
    details: dict[str, Any]
    warnings: tuple[str, ...]
    complete: bool

    @property
    def score_threshold(self) -> float:
        """Objects with a lower score are not shown; in [0, 1]."""
        return self.settings.score_threshold

    @property
    def count(self) -> int:
        """Number of objects at the present threshold."""
        raise NotImplementedError

    @property
    def table(self) -> pd.DataFrame:
        """One row a segment; ``index`` is its value in the label images."""
        raise NotImplementedError

    @property
    def recipe(self) -> dict[str, Any]:
        """What reproduces the result, as values that JSON can hold."""
        image = self.image
        return {
            "schema": RECIPE_SCHEMA,
            "settings": self.settings.to_json(),
            **self.details,
            "input": {
                "name": image.name,
                "shape": list(image.data.shape),
                "dtype": str(image.data.dtype),
                "axes": image.axes,
                "spacing_um": dict(image.spacing),
            },
            "warnings": list(self.warnings),
            "complete": self.complete,
        }

    def save(
        self,
        folder: str | Path,
        stem: str = "",
        format: str | None = None,
        *,
        report: Listener = ignore,
    ) -> list[Path]:
        """Write label images, table and recipe into a folder.

        Parameters
        ----------
        folder : str or Path
        stem : str
            Names become ``<stem>_instances.tif`` and so on; ``instances.tif`` if it is empty.
        format : {"tiff", "zarr"}, optional
            Of the label images; "zarr" is OME-Zarr, chunked, at several resolutions. None: Zarr
            for an image in Zarr, else TIFF.
        report : callable
            Hears of each part of an OME-Zarr, before it is written.

        Returns
        -------
        list of Path
            What was written; see `io.results.save_segmentation`.

        Raises
        ------
        InputError
            If there is no such format, or OME-Zarr has no room for the image's axes.
        OSError
            If the folder cannot be written to.
        """
        # File formats are imported when a file is written.
        from .io.results import save_segmentation

        return save_segmentation(self, Path(folder), stem, format, report)


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
            LinkRules(settings.link_overlap, settings.link_gap, step_of(image.spacing)),
            min_planes=settings.min_planes,
            fill=settings.link_fill,
            voxel=voxel_of(image.spacing),
        )

    @cached_property
    def _shown(self) -> tuple[Rendering, pd.DataFrame]:
        """Objects to number and list, and their links."""
        if self.linked:
            return self._volumes.show(self.score_threshold)
        return self.rendering, pd.DataFrame({"index": [], "z_from": [], "z_to": [], "iou": []})

    @property
    def links(self) -> pd.DataFrame:
        """One row a link: index of the object, planes z_from and z_to, and the masks' IoU."""
        return self._shown[1]

    @property
    def numbers(self) -> NDArray[np.int32]:
        """Value in `instances` of each object in `raw`, one plane after the other; 0 for none."""
        numbers = self._shown[0].numbers
        return np.where(numbers <= self.count, numbers, np.int32(0))

    @property
    def count(self) -> int:
        """Number of objects at the present threshold."""
        return self._shown[0].count(self.score_threshold)

    @cached_property
    def instances(self) -> NDArray[np.int32]:
        """Label image (int32, `image.label_shape`): objects 1..N by falling score, 0 nothing."""
        return _read_only(self._shown[0].instances(self.count))

    @cached_property
    def _combined(self) -> tuple[NDArray[np.int32], NDArray[np.int32], pd.DataFrame]:
        return add_stuff(
            self._shown[0],
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
    def panoptic(self) -> NDArray[np.int32]:
        """Label image (int32, `image.label_shape`): objects as in `instances`, then stuff."""
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
        """
        return self._combined[2]

    def with_score_threshold(self, score_threshold: float) -> Segmentation:
        """Return the same result shown at another threshold, without the model.

        Numbers stay: raising the threshold leaves out the last ones. Objects through Z are
        linked anew, from what the planes have at that threshold, as a run with it would do: they
        may become shorter or fall apart, and their numbers change.
        """
        other = replace(self, settings=self.settings.replace(score_threshold=score_threshold))
        other.__dict__["rendering"] = self.rendering
        if self.linked:
            other.__dict__["_volumes"] = self._volumes
        return other

    def add_to(self, viewer: napari.viewer.Viewer) -> Sequence[napari.layers.Layer]:
        """Add the outputs of the settings to a napari viewer as Labels layers.

        Boxes of a model that finds only these come last, as a Shapes layer.
        """
        from .gui.layers import add_segmentation

        return add_segmentation(viewer, self)


def _read_only(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    labels.setflags(write=False)
    return labels
