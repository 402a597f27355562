"""Zarr (versions 2 and 3) and OME-Zarr (0.1 to 0.5), read lazily at full resolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ops.axes import ArrayLike
from ..segmenter import InputError
from .tiff import micrometres

if TYPE_CHECKING:
    import zarr

#: Files that make a folder a Zarr array or group.
MARKERS = ("zarr.json", ".zarray", ".zgroup")


def is_zarr(path: Path) -> bool:
    """Whether a folder holds a Zarr array or group."""
    return any((path / marker).is_file() for marker in MARKERS)


def read_zarr(path: Path) -> tuple[ArrayLike, str, dict[str, float]]:
    """Open a Zarr array, or the image of an OME-Zarr group.

    Parameters
    ----------
    path : Path
        Folder of the array or group.

    Returns
    -------
    data : Zarr array
        Level 0 where there are several resolutions; pixels are read when asked for.
    axes : str
        From OME-Zarr's ``axes``, Zarr 3's ``dimension_names`` or xarray's names; else empty.
    spacing : dict of str to float
        µm per pixel, where known.

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
        return _with_axes(node, _dimension_names(node), {})
    return _read_group(node)


def _read_group(group: zarr.Group) -> tuple[ArrayLike, str, dict[str, float]]:
    attributes = _attributes(group)
    if "bioformats2raw.layout" in attributes and "0" in group:
        return _read_group(group["0"])  # type: ignore[arg-type]
    if attributes.get("multiscales"):
        return _read_multiscale(group, attributes["multiscales"][0])
    arrays = dict(group.arrays())
    if len(arrays) == 1:
        array = next(iter(arrays.values()))
        return _with_axes(array, _dimension_names(array), {})
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


def _read_multiscale(
    group: zarr.Group, multiscale: Mapping[str, Any]
) -> tuple[ArrayLike, str, dict[str, float]]:
    level = multiscale["datasets"][0]
    array = group[str(level["path"])]
    axes = [a if isinstance(a, Mapping) else {"name": a} for a in multiscale.get("axes", ())]
    names = [str(axis["name"]) for axis in axes] or ["t", "c", "z", "y", "x"][-array.ndim :]  # type: ignore[union-attr]
    scale = [1.0] * len(names)
    for owner in (level, multiscale):
        for transform in owner.get("coordinateTransformations", ()):
            if transform.get("type") == "scale":
                scale = [a * float(b) for a, b in zip(scale, transform["scale"], strict=True)]
    spacing = {
        _letter(axis["name"]): size * unit
        for axis, size in zip(axes, scale, strict=False)
        if (unit := micrometres(axis.get("unit"))) is not None and size > 0
    }
    return _with_axes(array, names, spacing)  # type: ignore[arg-type]


def _dimension_names(array: zarr.Array[Any]) -> Sequence[str]:
    names: Any = getattr(array.metadata, "dimension_names", None)
    names = names or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    return [] if any(not isinstance(name, str) for name in names) else list(names)


def _with_axes(
    array: zarr.Array[Any], names: Sequence[str], spacing: dict[str, float]
) -> tuple[ArrayLike, str, dict[str, float]]:
    axes = "".join(_letter(name) for name in names)
    if len(axes) != array.ndim or len(set(axes)) != len(axes) or not {"Y", "X"} <= set(axes):
        axes = ""
    return array, axes, {a: s for a, s in spacing.items() if a in axes}


def _letter(name: object) -> str:
    return str(name)[:1].upper()
