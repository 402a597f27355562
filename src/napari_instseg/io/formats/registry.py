"""All formats by name: what each can hold, and where its functions are."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...segmenter import InputError


@dataclass(frozen=True, slots=True)
class Format:
    """A format of files.

    Parameters
    ----------
    name : str
        What users call it.
    title : str
        What it is, in a few words.
    endings : tuple of str
        Of file names, in lower case; a name without any gets the first. Empty: a folder.
    write, read, knows : str, optional
        Functions "module:function", the module below this package. Without, it is not written,
        not read, or known by its endings alone. ``path`` lies in a folder of its own, whose
        content takes its place once all is written: a writer may leave files beside it, and
        needs no other care. Errors are InputError.

        - write(path, label_sets, **options) -> list of str: what the user should know. Label sets
          come one by one; without ``several`` it is write(path, label_set, **options).
        - read(path, **options) -> iterator of LabelSet.
        - knows(path) -> bool: whether a file with such an ending, or a folder, is of this format.
    several : bool
        One file, or folder, may hold several images.
    overlaps, stuff, stack : bool
        Whether it has room for pixels that two objects share, for segments of stuff, and for
        more than two dimensions. Users are told what is lost.
    direct : bool
        A folder, read whatever it is called. ``write`` gets the path itself, since it may put
        something into what is there, and ``replace``, whether it may replace what is there; it
        takes care itself that nothing is left half written.
    options, reading : mapping of str to str
        Options that ``write`` and ``read`` take, and what they are for.
    extra : str, optional
        The package's extra that is needed.
    table : str, optional
        What writes any table, not only that of a label set.
    """

    name: str
    title: str
    endings: tuple[str, ...] = ()
    write: str | None = None
    read: str | None = None
    knows: str | None = None
    several: bool = False
    overlaps: bool = False
    stuff: bool = False
    stack: bool = False
    direct: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    reading: Mapping[str, str] = field(default_factory=dict)
    extra: str | None = None
    table: str | None = None

    def function(self, role: str) -> Callable[..., Any]:
        """Import its function for a role: "write", "read", "knows" or "table".

        Raises
        ------
        InputError
            If it has none, or a package that it needs is missing.
        """
        home = getattr(self, role)
        if home is None:
            raise InputError(f"{self.name} cannot be {'written' if role == 'write' else 'read'}")
        module, _, name = home.partition(":")
        try:
            found: Callable[..., Any] = getattr(
                importlib.import_module(f".{module}", __package__), name
            )
        except ModuleNotFoundError as error:
            if self.extra is None:
                raise
            raise InputError(
                f"{self.name} needs the package {error.name}: "
                f'pip install "napari-instseg[{self.extra}]"'
            ) from error
        return found

    def fits(self, path: Path) -> bool:
        """Whether a name has one of the endings."""
        return path.name.lower().endswith(self.endings)


#: Of files that may not tell the size of their image.
_SHAPE = {"shape": "of the image, such as 512x512 or 30x512x512"}
_OUTPUT = {"output": "instances (default), semantic or panoptic"}
#: Where several have an ending, the first one is written, and the first that knows a file reads it.
FORMATS: tuple[Format, ...] = (
    Format(
        *("ome-zarr", "a label image in OME-Zarr, new or in an image that is there", (".zarr",)),
        write="ome_zarr:write",
        read="ome_zarr:read",
        knows="ome_zarr:knows",
        stuff=True,
        stack=True,
        direct=True,
        options={**_OUTPUT, "name": "of the labels in an image (default: the output)"},
    ),
    Format(
        *("divisor", "category x divisor + number in a pixel, with a JSON", (".divisor.tif",)),
        write="divisor:write",
        read="divisor:read",
        stuff=True,
        stack=True,
        options={"divisor": "a number (default: 1000, or the next power of ten with room for all)"},
        reading={"divisor": "of a map without its JSON"},
    ),
    # Before Cityscapes, which looks into folders: an export may lie in one of results.
    Format(
        *("result", "a folder as of 'napari-instseg segment'; read: plain label images, too"),
        write="result:write",
        read="result:read",
        knows="result:knows",
        several=True,
        overlaps=True,
        stuff=True,
        stack=True,
        options={"labels": "tiff (default) or zarr"},
        reading={"axes": "of a label image, instead of what its file says"},
    ),
    Format(
        *("cityscapes", "Cityscapes, 16-bit instanceIds and 8-bit labelIds"),
        write="cityscapes:write",
        read="cityscapes:read",
        knows="cityscapes:knows",
        several=True,
        stuff=True,
    ),
    Format(
        *("masks", "a folder with one PNG an object and plane, and index.csv"),
        write="mask_folder:write",
        read="mask_folder:read",
        knows="mask_folder:knows",
        overlaps=True,
        stack=True,
    ),
    Format(
        *("coco", "COCO instances, JSON", (".json",)),
        write="coco:write",
        read="coco_reading:read",
        knows="coco_reading:knows",
        several=True,
        overlaps=True,
        options={
            "masks": "rle (default) or polygons; objects with holes are run lengths in any case",
            "hidden": "true: objects that better ones hide, too, as the model found them",
        },
    ),
    Format(
        *("imagej-roi", "ImageJ's ROI Manager, one ROI an object and plane", (".zip", ".roi")),
        write="imagej_roi:write",
        read="imagej_roi:read",
        knows="imagej_roi:knows",
        overlaps=True,
        stuff=True,
        stack=True,
        reading=_SHAPE,
        extra="export",
    ),
    Format(
        *("geojson", "GeoJSON for QuPath, one feature an object and plane", (".geojson", ".json")),
        write="geojson:write",
        read="geojson_reading:read",
        knows="geojson_reading:knows",
        overlaps=True,
        stuff=True,
        stack=True,
        options={"objects": "detection (default) or annotation"},
        reading=_SHAPE,
    ),
    Format(
        *("tiff", "a label image, without the table", (".tif", ".tiff")),
        write="tiff:write",
        stuff=True,
        stack=True,
        options=_OUTPUT,
    ),
    Format(
        *("figure", "a plane as a picture for a paper", (".png", ".svg")),
        write="figure:write",
        stuff=True,
        stack=True,
        options={
            "image": "what the objects were found in",
            "plane": "index along each axis but Y and X, such as 3 or 0,3 (default: the middle)",
            "style": "outlines (default on an image), filled or both",
            "color": "category (default) or object",
            "legend": "false: none",
            "scale_bar": "length in µm, false: none (default: 1, 2 or 5 times a power of ten)",
            "zoom": "dots a pixel",
        },
    ),
    Format(
        *("csv", "the table of all segments", (".csv",)),
        write="tables:write",
        table="tables:write_table",
        overlaps=True,
        stuff=True,
        stack=True,
    ),
    Format(
        *("parquet", "the table, with the columns' types", (".parquet",)),
        write="parquet:write",
        table="parquet:write_table",
        overlaps=True,
        stuff=True,
        stack=True,
        extra="export",
    ),
    Format(
        *("excel", "the table as a workbook", (".xlsx",)),
        write="excel:write",
        table="excel:write_table",
        overlaps=True,
        stuff=True,
        stack=True,
        extra="export",
    ),
    Format(
        *("panoptic", "COCO panoptic, JSON and a folder of PNG files", (".json",)),
        write="coco_panoptic:write",
        read="coco_panoptic:read",
        knows="coco_panoptic:knows",
        several=True,
        stuff=True,
        reading={"folder": "the one with the PNG files"},
    ),
    Format(
        *("detectron2", "Detectron2's results, JSON", (".json",)),
        write="detectron2:write",
        read="detectron2:read",
        knows="detectron2:knows",
        several=True,
        overlaps=True,
        options={"hidden": "as of coco"},
        reading={"images": "a COCO file with the images and categories"},
    ),
)


def find(name: str) -> Format:
    """Find a format by its name.

    Raises
    ------
    InputError
        If there is none.
    """
    for one in FORMATS:
        if one.name == name.lower():
            return one
    raise InputError(f"format: expected one of {', '.join(f.name for f in FORMATS)}, got {name!r}")


def for_writing(path: Path, name: str | None = None) -> Format:
    """Find the format to write a path in: by its name, else by the path's ending.

    Raises
    ------
    InputError
        If there is no such format, or it is not clear which.
    """
    if name is not None:
        return find(name)
    for one in FORMATS:
        if one.write and one.endings and one.fits(path):
            return one
    known = {ending: one.name for one in reversed(FORMATS) for ending in one.endings if one.write}
    raise InputError(
        f"{path}: expected a name that ends in {', '.join(known)}, or a format: one of "
        f"{', '.join(f.name for f in FORMATS if f.write)}"
    )


def for_reading(path: Path, name: str | None = None) -> Format:
    """Find the format of a file or folder: the one named, else the first that knows it.

    Raises
    ------
    InputError
        If there is no such format, or none knows the file.
    """
    if name is not None:
        return find(name)
    for one in FORMATS:
        named = (one.fits(path) and path.exists()) or (one.direct and path.is_dir())
        if not one.read or (one.endings and not named):
            continue
        if one.knows is None or one.function("knows")(path):
            return one
    if not path.exists():
        raise InputError("no such file or folder")
    raise InputError(
        f"expected one of {', '.join(f.name for f in FORMATS if f.read)}, got something else"
    )
