"""Label images in OME-Zarr with a row a label: on their own, or among the labels of an image.

References
----------
OME-NGFF 0.5 and 0.4, https://ngff.openmicroscopy.org/: "labels" metadata. Labels lie in a group
``labels`` inside the image, whose attributes list their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace as with_values
from pathlib import Path
from typing import Any

import pandas as pd

from ...label_set import COLUMNS, LabelSet
from ...segmenter import InputError
from ...settings import ZARR
from .. import ngff
from ..images import stem_of
from ..results import About, write_output
from ..zarr import LabelPyramid, is_zarr, read_attributes, read_label_pyramid
from . import result
from .names import file_stem
from .staging import refuse_there

#: Group of an image that holds label images, and its list of them.
LABELS = "labels"


def write(
    path: Path,
    label_set: LabelSet,
    *,
    output: str = "instances",
    name: str | None = None,
    replace: bool = True,
) -> list[str]:
    """Write one label image as OME-Zarr 0.5, with the table's rows as properties.

    Parameters
    ----------
    path : Path
        A new folder, or one with a label image, which is replaced; or an OME-Zarr image: then it
        is put among its labels, and nothing else is touched.
    label_set : LabelSet
    output : {"instances", "semantic", "panoptic"}
    name : str, optional
        What it is called among an image's labels; None is ``output``.
    replace : bool
        A label image that is there; False: refuse.

    Returns
    -------
    list of str
        What could not be written.

    Raises
    ------
    InputError
        If the folder holds something else, the image is of another version than 0.5, its shape
        does not fit, OME-Zarr has no room for the axes, or a label image is there that must not
        be replaced.
    """
    about = About(label_set.axes, label_set.spacing, label_set.table, label_set.categories)
    target = path
    if is_zarr(path) and read_label_pyramid(path) is None:
        _check_image(path, label_set)
        target = path / LABELS / file_stem(name or output)
        about = with_values(about, image=path)
    elif path.exists() and not is_zarr(path):
        raise InputError("expected a new name, or a Zarr folder; this is something else")
    if not replace:
        refuse_there(target)
    if target != path:
        _open_labels(path)
    write_output(target, output, result.lazily(label_set, output), about, ZARR)
    if target != path:
        _list(path, target.name)
    if len(label_set.table) > ngff.MOST_LISTED:
        return [
            f"properties are left out, since there are more than {ngff.MOST_LISTED} labels: "
            "write the table, too (csv, parquet)"
        ]
    return []


def _check_image(path: Path, label_set: LabelSet) -> None:
    """Check that labels may be put into a folder."""
    attributes = read_attributes(path)
    if "multiscales" not in attributes or attributes.get("version") != ngff.VERSION:
        raise InputError(
            f"expected an OME-Zarr {ngff.VERSION} image to put labels into, or a new name"
        )
    entry = attributes["multiscales"][0]
    letters = [str(axis["name"]).upper() for axis in entry["axes"]]
    # Zarr takes a while to import, and is not needed before.
    import zarr

    shape = zarr.open_array(str(path / entry["datasets"][0]["path"]), mode="r").shape
    sizes = dict(zip(letters, shape, strict=True))
    for axis, size in zip(label_set.axes, label_set.shape, strict=True):
        if sizes.get(axis) != size:
            raise InputError(
                f"expected labels of the image's shape, {sizes}, got axes {label_set.axes} of "
                f"{label_set.shape}"
            )


def _open_labels(image: Path) -> Any:
    import zarr

    return zarr.open_group(str(image / LABELS), mode="a", zarr_format=3)


def _list(image: Path, name: str) -> None:
    """Add a name to the list of an image's labels."""
    group = _open_labels(image)
    ome = dict(group.attrs.get("ome", {}))
    listed = [str(one) for one in ome.get(LABELS, ())]
    names = listed if name in listed else [*listed, name]
    group.attrs["ome"] = {**ome, "version": ngff.VERSION, LABELS: names}


def knows(path: Path) -> bool:
    """Whether a folder is a label image, or an image with labels; results are left to `result`."""
    if not is_zarr(path) or result.is_of_result(path):
        return False
    return read_label_pyramid(path) is not None or bool(_names(path))


def read(path: Path) -> Iterator[LabelSet]:
    """Read a label image, or all those of an image.

    Parameters
    ----------
    path : Path
        A folder with a label image, an image, or its group of labels.

    Yields
    ------
    LabelSet
        Read lazily. Rows are the properties where we wrote them; else they are found in the
        pixels, and what is known of labels besides becomes further columns.

    Raises
    ------
    InputError
        If labels that the image lists are not there.
    """
    whole = read_label_pyramid(path)
    if whole is not None:
        yield _label_set(whole, stem_of(path), path.name)
        return
    for name in _names(path):
        folder = (path if path.name == LABELS else path / LABELS) / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise InputError(f"{LABELS}: expected names within the image, got {name!r}")
        pyramid = read_label_pyramid(folder)
        if pyramid is None:
            raise InputError(f"expected a label image {name!r} as the image lists it, found none")
        yield _label_set(pyramid, name, path.name)


def _names(path: Path) -> list[str]:
    """Names of an image's labels; none if it is no image, or has none."""
    group = path if path.name == LABELS else path / LABELS
    listed = read_attributes(group).get(LABELS, []) if is_zarr(group) else []
    return [str(name) for name in listed] if isinstance(listed, list) else []


def _label_set(pyramid: LabelPyramid, name: str, source: str) -> LabelSet:
    labels = pyramid.levels[0]
    axes = pyramid.axes or None
    rows = [dict(row) for row in pyramid.properties]
    table = pd.DataFrame(rows).rename(columns={ngff.VALUE: "index"})
    if axes is not None and set(COLUMNS) <= set(table.columns):
        return result.from_table(labels, axes, table, name, pyramid.spacing)
    found = LabelSet.from_labels(labels, axes, spacing=pyramid.spacing, name=name, source=source)
    return _with_properties(found, table)


def _with_properties(label_set: LabelSet, known: pd.DataFrame) -> LabelSet:
    """Add what is known of labels as columns."""
    new = [column for column in known.columns if column not in label_set.table.columns]
    if "index" not in known.columns or not new:
        return label_set
    rows = known.drop_duplicates("index").set_index("index")[new]
    found = rows.reindex(label_set.table["index"]).reset_index(drop=True)
    return with_values(label_set, table=pd.concat([label_set.table, found], axis=1))
