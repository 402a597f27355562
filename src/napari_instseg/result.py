"""What every result has, wherever its objects are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .hands import OWN_HANDS, Hands
from .label_set import LabelSet
from .ops.axes import Image
from .ops.ids import Ids
from .ops.lazy import LazyLabels
from .progress import Listener, ignore
from .segmenter import Category
from .settings import CSV, Settings

if TYPE_CHECKING:
    import napari.layers
    import napari.viewer

    from .io.objects import Objects

#: Of recipes that are written; older ones are read, too.
RECIPE_SCHEMA = 2


class Result:
    """What every result has, wherever its objects are kept."""

    image: Image
    categories: tuple[Category, ...]
    settings: Settings
    details: dict[str, Any]
    warnings: tuple[str, ...]
    complete: bool
    seams: pd.DataFrame
    #: Who paints label images that are written chunk by chunk.
    hands: Hands = OWN_HANDS

    @property
    def instances(self) -> Ids | LazyLabels:
        """Label image of objects 1..N by falling score, 0 nothing."""
        raise NotImplementedError

    @property
    def semantic(self) -> NDArray[np.int32] | LazyLabels:
        """Label image of category ids, 0 is void."""
        raise NotImplementedError

    @property
    def panoptic(self) -> Ids | LazyLabels:
        """Label image: objects as in `instances`, then stuff."""
        raise NotImplementedError

    @property
    def plane_counts(self) -> list[int]:
        """Number of objects above the model's floor in each plane, in C order."""
        raise NotImplementedError

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
        return {
            "schema": RECIPE_SCHEMA,
            "settings": self.settings.to_json(),
            "input": describe_input(self.image),
            **self.details,
            "warnings": list(self.warnings),
            "complete": self.complete,
        }

    @property
    def label_set(self) -> LabelSet:
        """Label images and table, to review, correct, measure and export."""
        image, table = self.image, self.table
        with_stuff = not table["is_thing"].all()
        return LabelSet(
            self.instances,
            image.label_axes,
            table,
            self.categories,
            image.name,
            dict(image.spacing),
            semantic=self.semantic if with_stuff else None,
            panoptic=self.panoptic if with_stuff else None,
            recipe=self.recipe,
        )

    def measure(
        self,
        images: Sequence[Image] | None = None,
        columns: Sequence[str] | None = None,
        *,
        volumes: bool | None = None,
    ) -> pd.DataFrame:
        """Measure all segments; see `LabelSet.measure`.

        Parameters
        ----------
        images : sequence of Image, optional
            Whose grey values are measured; None: of the image that was segmented.
        columns, volumes
            See `ops.measuring.measure_labels`.
        """
        seen = [self.image] if images is None else images
        return self.label_set.measure(seen, columns, volumes=volumes)

    @property
    def objects(self) -> Objects:
        """All that the model found, to be saved."""
        raise NotImplementedError

    @property
    def tracked(self) -> bool:
        """Whether objects go through T."""
        return False

    @property
    def tracks(self) -> pd.DataFrame:
        """One row for each object of a frame; see `Segmentation.tracks`."""
        raise NotImplementedError

    @property
    def lineage(self) -> dict[int, list[int]]:
        """Parent of each track that comes from one, as napari's Tracks layer has it."""
        pairs = self.tracks.loc[self.tracks["parent"] > 0, ["track", "parent"]]
        return {int(child): [int(parent)] for child, parent in pairs.to_numpy()}

    def save(
        self,
        folder: str | Path,
        stem: str = "",
        format: str | None = None,
        tracks: Sequence[str] = (CSV,),
        *,
        raw: bool = False,
        seams: bool = False,
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
        tracks : sequence of {"csv", "ctc", "geff"}
            How tracks are written, if objects were tracked: ``<stem>_tracks.csv``, a folder
            ``<stem>_RES`` as the Cell Tracking Challenge has it, ``<stem>_tracks.geff``.
        raw : bool
            Keep all objects that the model found in ``<stem>_objects.npz``, too, so that
            `read_result` can show the result at other thresholds.
        seams : bool
            Write `seams` to ``<stem>_seams.csv``, too: a row for each place where tiles met.
        report : callable
            Hears of each part of an OME-Zarr, before it is written.

        Returns
        -------
        list of Path
            What was written; see `io.results.save_segmentation`.

        Raises
        ------
        InputError
            If there is no such format, it has no room for the image's axes, or the package
            that writes it is missing; or ``seams`` is asked of a result that was read from
            files.
        OSError
            If the folder cannot be written to.
        """
        # File formats are imported when a file is written.
        from .io.results import save_segmentation

        return save_segmentation(
            *(self, Path(folder), stem, format, tracks, report), raw=raw, seams=seams
        )

    def add_seams_to(self, viewer: napari.viewer.Viewer) -> napari.layers.Shapes:
        """Show in a napari viewer where tiles met: what was joined, and what is open there."""
        from .gui.seams import add_seams

        return add_seams(viewer, self)


def describe_input(image: Image) -> dict[str, Any]:
    """What a recipe says of the image, by which it is known again; no folder is named."""
    return {
        "name": image.name,
        "shape": list(image.data.shape),
        "dtype": str(image.data.dtype),
        "axes": image.axes,
        "spacing_um": dict(image.spacing),
        "sample_sha256": image.sample_sha256,
    }
