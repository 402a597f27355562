"""Label images of one image and their table: what is reviewed, corrected, measured, exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .instances import Instances
from .ops.axes import ArrayLike, Image
from .ops.axis_names import guess_axes
from .ops.extents import find_extents
from .progress import Listener, how_many, ignore
from .segmenter import Category, InputError, color_of
from .settings import OUTPUTS

#: Without them a table is none of ours.
COLUMNS = ("index", "category_id", "category", "is_thing", "score", "area", "source")
#: Of labels about which nothing else is known.
OBJECT = Category(1, "object")
#: Largest label.
LARGEST = np.iinfo(np.int32).max
#: Key of a recipe with the log of what was changed since.
EDITS = "edits"
#: What ``source`` says of objects that a user has drawn or changed.
BY_HAND = "edited"


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Objects of one image as label images and a table, wherever they come from.

    Parameters
    ----------
    instances : integer array (..., Y, X)
        Objects 1..N, not necessarily dense; 0 is nothing. NumPy, dask, Zarr or alike; read-only
        unless somebody edits it.
    axes : str
        One letter a dimension, the last two Y and X.
    table : DataFrame
        One row a segment of the panoptic label image; at least `COLUMNS`. ``index`` is its value
        there, and, of things, in ``instances``.
    categories : tuple of Category
        All of the table's, and others that objects may be given.
    name : str
        Of the image.
    spacing : mapping of str to float
        µm per pixel by axis letter; empty where unknown.
    semantic, panoptic : integer array, optional
        As ``instances``: category ids, and segments. None where there is no stuff: then both
        follow from ``instances`` and the table.
    ground : integer array, optional
        Category id of the stuff at each pixel, under objects, too; what a pixel is once its
        object is gone. None: void.
    raw : tuple of Instances, optional
        What the model had found, one a plane, hidden and below the threshold, too.
    numbers : (N,) integer array, optional
        Label of each object in ``raw``, one plane after the other; 0 for none.
    recipe : mapping
        How it came about; see `Result.recipe`. ``edits`` in it are what was changed since.

    Raises
    ------
    InputError
        If shapes, axes and table do not fit together.
    """

    instances: ArrayLike
    axes: str
    table: pd.DataFrame
    categories: tuple[Category, ...]
    name: str = "image"
    spacing: Mapping[str, float] = field(default_factory=dict)
    semantic: ArrayLike | None = None
    panoptic: ArrayLike | None = None
    ground: ArrayLike | None = None
    raw: tuple[Instances, ...] | None = None
    numbers: NDArray[np.int32] | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = tuple(self.instances.shape)
        if len(self.axes) != len(shape) or self.axes[-2:] != "YX":
            raise InputError(
                f"expected one axis letter a dimension, the last two Y and X, got {self.axes!r} "
                f"for labels of shape {shape}"
            )
        if np.dtype(self.instances.dtype).kind not in "bui":
            raise InputError(f"expected label images of integers, got {self.instances.dtype}")
        for name in ("semantic", "panoptic", "ground"):
            other = getattr(self, name)
            if other is not None and tuple(other.shape) != shape:
                raise InputError(f"{name}: expected the shape {shape}, got {tuple(other.shape)}")
        missing = [column for column in COLUMNS if column not in self.table.columns]
        if missing:
            raise InputError(f"the table: expected columns {COLUMNS}, without {missing}")

    @classmethod
    def from_labels(
        cls,
        labels: ArrayLike,
        axes: str | None = None,
        *,
        spacing: Mapping[str, float] | None = None,
        category: Category = OBJECT,
        name: str = "labels",
        source: str = "labels",
        listed: bool = True,
    ) -> LabelSet:
        """Take a label image of which nothing else is known.

        Parameters
        ----------
        labels : integer array (..., Y, X)
            0 is nothing; may be larger than memory.
        axes : str, optional
            None guesses.
        spacing : mapping of str to float, optional
        category : Category
            Of all objects.
        name, source : str
            Of the image; for the table.
        listed : bool
            False: do not look at the pixels yet; the table is empty.

        Returns
        -------
        LabelSet
            All scores are 1.
        """
        axes = guess_axes(labels.shape).letters if axes is None else axes
        table = find_extents(labels, axes) if listed else pd.DataFrame({"index": [], "area": []})
        table.insert(1, "category_id", category.id)
        table.insert(2, "category", category.name)
        table.insert(3, "is_thing", True)
        table.insert(4, "score", np.float32(1))
        table["source"] = source
        return cls(labels, axes, table, (category,), name, spacing or {})

    @property
    def shape(self) -> tuple[int, ...]:
        """Of each label image."""
        return tuple(self.instances.shape)

    @property
    def plane_shape(self) -> tuple[int, ...]:
        """Number of planes along each axis but the last two."""
        return self.shape[:-2]

    @property
    def things(self) -> pd.DataFrame:
        """Rows of the objects."""
        return self.table[self.table["is_thing"].astype(bool)]

    @property
    def stuff(self) -> pd.DataFrame:
        """Rows of the segments that are no objects."""
        return self.table[~self.table["is_thing"].astype(bool)]

    def read(self, output: str, where: Any = ...) -> NDArray[np.int32]:
        """Read a part of a label image.

        Parameters
        ----------
        output : {"instances", "semantic", "panoptic"}
        where : slices, optional
            One for each axis; all of it if it is not given.

        Returns
        -------
        int32 array
            A new one, that may be written to.

        Raises
        ------
        InputError
            If there is no such output, or a label there is larger than `LARGEST`.
        """
        if output not in OUTPUTS:
            raise InputError(f"expected one of {OUTPUTS}, got {output!r}")
        kept: ArrayLike | None = getattr(self, output)
        if kept is not None:
            return as_int32(kept[where])
        objects = as_int32(self.instances[where])
        if output == "panoptic":
            return objects
        return categories_of(objects, self.things["index"], self.things["category_id"])

    def measure(
        self,
        images: Sequence[Image | ArrayLike] = (),
        columns: Sequence[str] | None = None,
        *,
        volumes: bool | None = None,
        report: Listener = ignore,
    ) -> pd.DataFrame:
        """Measure size, place, shape and intensity of all segments.

        Parameters
        ----------
        images : sequence of Image or array
            Whose grey values are measured; arrays have the axes of the label images.
        columns, volumes, report
            See `ops.measuring.measure_labels`.

        Returns
        -------
        DataFrame
            As of `measure_labels`, with category_id, category, is_thing and score after what tells
            the rows apart. Stuff has no shape. Segments without pixels are left out, which
            ``attrs["notes"]`` says.

        Raises
        ------
        InputError
            If an image is on another grid, or there is no such column.
        """
        # What takes scikit-image is imported when it is used.
        from .ops.measuring import measure_labels

        labels = self.instances if self.panoptic is None else self.panoptic
        found = measure_labels(
            labels,
            self.axes,
            [_as_image(image, self) for image in images],
            columns=columns,
            spacing=self.spacing,
            volumes=volumes,
            without_shape=self.stuff["index"].tolist(),
            report=report,
        )
        known = self.table.drop_duplicates("index").set_index("index")[list(COLUMNS[1:5])]
        for column in reversed(known.columns):
            found.insert(
                len(found.attrs["keys"]), column, known[column].reindex(found["index"]).to_numpy()
            )
        empty = len(known.index.difference(pd.Index(found["index"])))
        if empty:
            found.attrs["notes"].append(f"{how_many(empty, 'segment')} without pixels left out")
        return found


def beyond_int32(labels: NDArray[Any]) -> bool:
    """Whether there are numbers that int32 does not hold."""
    kind = labels.dtype
    if kind.kind not in "iu" or np.iinfo(kind).max <= LARGEST or not labels.size:
        return False
    return int(labels.max()) > LARGEST or int(labels.min()) < -LARGEST - 1


def check_int32(labels: NDArray[Any], name: str = "") -> None:
    """Check that label sets can hold some labels.

    Parameters
    ----------
    labels : integer array
    name : str
        Of what they are, for the message.

    Raises
    ------
    InputError
        As of `beyond_int32`.
    """
    if beyond_int32(labels):
        of = f"{name!r}: " if name else ""
        raise InputError(
            f"{of}expected labels from 0 to {LARGEST}, got {labels.min()} to {labels.max()}: "
            "number the objects anew, as with skimage.segmentation.relabel_sequential"
        )


def as_int32(part: Any) -> NDArray[np.int32]:
    """Copy a part of a label image; see `check_int32`."""
    labels = np.asarray(part)
    check_int32(labels)
    return np.array(labels, np.int32)


def _as_image(image: Image | ArrayLike, labels: LabelSet) -> Image:
    """An array on the grid of some labels as an image."""
    if isinstance(image, Image):
        return image
    if tuple(image.shape) != labels.shape:
        raise InputError(
            f"expected an array of the labels' shape {labels.shape} ({labels.axes}), got "
            f"{tuple(image.shape)}; with channels, give an Image with axes"
        )
    return Image(image, labels.axes, labels.spacing, labels.name)


def categories_of(
    labels: NDArray[np.int32],
    index: Sequence[int] | NDArray[Any] | pd.Series,
    ids: Sequence[int] | NDArray[Any] | pd.Series,
) -> NDArray[np.int32]:
    """Category id of each pixel's object; 0 where there is none, and of unknown labels.

    Examples
    --------
    >>> categories_of(np.array([[0, 7, 9]], np.int32), [7], [2])
    array([[0, 2, 0]], dtype=int32)
    """
    order = np.argsort(np.asarray(index), kind="stable")
    known, values = np.asarray(index)[order], np.asarray(ids)[order]
    if not len(known):
        return np.zeros(labels.shape, np.int32)
    at = np.minimum(np.searchsorted(known, labels), len(known) - 1)
    return np.where(known[at] == labels, values[at], 0).astype(np.int32)


def categories_in(table: pd.DataFrame) -> tuple[Category, ...]:
    """List the categories of a table, with colours of their own."""
    columns = ["category_id", "category", "is_thing"]
    rows = table.drop_duplicates("category_id").sort_values("category_id")[columns].to_numpy()
    if not len(rows):
        return (OBJECT,)
    return tuple(
        Category(int(number), str(name), bool(is_thing), color)
        for (number, name, is_thing), color in zip(rows, name_colors(len(rows)), strict=True)
    )


def name_colors(count: int) -> list[tuple[float, float, float]]:
    """Colours in [0, 1] for categories of which only the names are known; one has the usual."""
    if count == 1:
        return [OBJECT.color]
    return [color_of(place) for place in range(count)]
