"""Zarr (versions 2 and 3) and OME-Zarr (0.1 to 0.5), read lazily at full resolution."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ops.axes import ArrayLike
from ..ops.axis_names import FILE, OME, WORDS, name_axes
from ..segmenter import InputError
from .found import Found
from .ngff import IMAGE_LABEL, VALUE
from .tiff import micrometres

if TYPE_CHECKING:
    import zarr

#: Kinds of axes in OME-Zarr that say what an axis is, whatever it is called.
KINDS = {"time": "t", "channel": "c"}
#: Files that make a folder a Zarr array or group.
MARKERS = ("zarr.json", ".zarray", ".zgroup")


def is_zarr(path: Path) -> bool:
    """Whether a folder holds a Zarr array or group."""
    return any((path / marker).is_file() for marker in MARKERS)


def is_zarr_data(data: object) -> bool:
    """Whether an array is kept as Zarr; a TIFF that is read through Zarr is not."""
    # Whoever has a Zarr array has imported Zarr.
    zarr = sys.modules.get("zarr")
    return (
        zarr is not None
        and isinstance(data, zarr.Array)
        and not type(data.store).__module__.startswith("tifffile")
    )


def image_folder(data: object) -> Path | None:
    """Find the folder of the OME-Zarr 0.5 image that an array is a level of; None: there is none.

    Images of earlier versions do not count: what is written in 0.5 may not refer to them.
    """
    if not is_zarr_data(data):
        return None
    import zarr

    array: zarr.Array[Any] = data  # type: ignore[assignment]
    root = getattr(array.store, "root", None)
    if root is None or not array.path:
        return None
    folder = Path(root, array.path).parent
    if not is_zarr(folder):
        return None
    ome = zarr.open_group(folder, mode="r").attrs.get("ome")
    return folder if isinstance(ome, Mapping) and "multiscales" in ome else None


def read_zarr(path: Path) -> Found:
    """Open a Zarr array, or the image of an OME-Zarr group.

    Parameters
    ----------
    path : Path
        Folder of the array or group.

    Returns
    -------
    Found
        Level 0 where there are several resolutions; pixels are read when asked for. Axes from
        OME-Zarr's ``axes``, Zarr 3's ``dimension_names`` or xarray's names.

    Raises
    ------
    InputError
        If Zarr is not installed, or it is not clear which array is meant.
    Exception
        What Zarr raises for damaged metadata.
    """
    if not find_spec("zarr"):
        raise InputError('reading Zarr needs a package: pip install "napari-instseg[zarr]"')
    import zarr

    node = zarr.open(str(path), mode="r")
    if isinstance(node, zarr.Array):
        return _with_names(node, _dimension_names(node), FILE)
    return _read_group(node)


def read_attributes(path: Path) -> dict[str, Any]:
    """Read what the group in a folder says of itself in OME-Zarr's words; {} of an array.

    Raises
    ------
    Exception
        What Zarr raises for damaged metadata.
    """
    import zarr

    node = zarr.open(str(path), mode="r")
    return {} if isinstance(node, zarr.Array) else _attributes(node)


def _read_group(group: zarr.Group) -> Found:
    attributes = _attributes(group)
    if "bioformats2raw.layout" in attributes and "0" in group:
        return _read_group(group["0"])  # type: ignore[arg-type]
    if attributes.get("multiscales"):
        return _read_multiscale(group, attributes["multiscales"][0])
    arrays = dict(group.arrays())
    if len(arrays) == 1:
        array = next(iter(arrays.values()))
        return _with_names(array, _dimension_names(array), FILE)
    inside = sorted([*arrays, *(name for name, _ in group.groups())])
    raise InputError(
        "expected a Zarr array or an OME-Zarr image, got a group with "
        f"{', '.join(inside[:8]) or 'nothing in it'}; name the array inside it"
    )


def _attributes(group: zarr.Group) -> dict[str, Any]:
    """OME attributes: under "ome" from version 0.5 on."""
    attributes = dict(group.attrs)
    inner = attributes.get("ome")
    return {**attributes, **inner} if isinstance(inner, Mapping) else attributes


def _read_multiscale(group: zarr.Group, multiscale: Mapping[str, Any]) -> Found:
    level = multiscale["datasets"][0]
    array = _array(group, level)
    axes = [a if isinstance(a, Mapping) else {"name": a} for a in multiscale.get("axes", ())]
    names = [str(axis["name"]) for axis in axes] or ["t", "c", "z", "y", "x"][-array.ndim :]
    scale = [1.0] * len(names)
    for owner in (level, multiscale):
        for transform in owner.get("coordinateTransformations", ()):
            if transform.get("type") == "scale":
                scale = [a * float(b) for a, b in zip(scale, transform["scale"], strict=True)]
    names = [KINDS.get(str(axis.get("type")), str(axis["name"])) for axis in axes] or names
    spacing = {
        _letter(name): size * unit
        for name, axis, size in zip(names, axes, scale, strict=False)
        if (unit := micrometres(axis.get("unit"))) is not None and size > 0
    }
    coarse = _array(group, multiscale["datasets"][-1])
    return _with_names(array, names, OME, spacing, coarse if coarse.ndim == array.ndim else None)


def _array(group: zarr.Group, level: Mapping[str, Any]) -> zarr.Array[Any]:
    array: zarr.Array[Any] = group[str(level["path"])]  # type: ignore[assignment]
    return array


@dataclass(frozen=True, slots=True, eq=False)
class LabelPyramid:
    """A label image in OME-Zarr, read lazily.

    Parameters
    ----------
    levels : tuple of Zarr arrays of integers
        The finest first.
    axes : str
        One letter a dimension; empty where unknown.
    spacing : dict of str to float
        µm per pixel of the finest level, where known.
    colors : dict of int to (red, green, blue, alpha)
        By label, 0 to 255.
    properties : tuple of dict
        What is known of labels; "label-value" is the label.
    """

    levels: tuple[ArrayLike, ...]
    axes: str
    spacing: dict[str, float]
    colors: dict[int, tuple[int, ...]]
    properties: tuple[dict[str, Any], ...]


def read_label_pyramid(path: Path) -> LabelPyramid | None:
    """Open a label image in OME-Zarr 0.4 or 0.5; None if a folder holds something else.

    Parameters
    ----------
    path : Path

    Raises
    ------
    Exception
        What Zarr raises for damaged metadata.
    """
    if not is_zarr(path):
        return None
    import zarr

    group = zarr.open(str(path), mode="r")
    if isinstance(group, zarr.Array):
        return None
    attributes = _attributes(group)
    if not (IMAGE_LABEL in attributes and attributes.get("multiscales")):
        return None
    about, multiscale = attributes[IMAGE_LABEL], attributes["multiscales"][0]
    found = _read_multiscale(group, multiscale)
    axes = "" if found.axes is None else found.axes.letters
    levels = tuple(_array(group, level) for level in multiscale["datasets"])
    colors = {
        int(entry[VALUE]): tuple(entry["rgba"])
        for entry in about.get("colors", ())
        if "rgba" in entry
    }
    return LabelPyramid(
        levels, axes, dict(found.spacing), colors, tuple(about.get("properties", ()))
    )


def _dimension_names(array: zarr.Array[Any]) -> Sequence[str]:
    names: Any = getattr(array.metadata, "dimension_names", None)
    names = names or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    return [] if any(not isinstance(name, str) for name in names) else list(names)


def _with_names(
    array: zarr.Array[Any],
    names: Sequence[object],
    source: str,
    spacing: Mapping[str, float] | None = None,
    coarse: ArrayLike | None = None,
) -> Found:
    letters = [_letter(name) for name in names]
    fits = len(letters) == array.ndim and len(set(letters)) == len(letters)
    if not (fits and {"Y", "X"} <= set(letters)):
        return Found(array, None, coarse=coarse)
    rgb = letters[-1] == "S" and array.shape[-1] in (3, 4)
    letters = letters[:-1] if rgb else ["" if letter == "S" else letter for letter in letters]
    named = name_axes(len(letters), [(letters, source)], rgb=rgb)
    kept = {a: size for a, size in (spacing or {}).items() if a in named.letters}
    return Found(array, named, kept, coarse)


def _letter(name: object) -> str:
    text = str(name).strip()
    return WORDS.get(text.lower(), text[:1].upper())
