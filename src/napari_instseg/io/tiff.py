"""TIFF, OME-TIFF and ImageJ TIFF, with what they say of axes and pixel size."""

from __future__ import annotations

import re
import struct
import weakref
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..ops.axes import ArrayLike
from ..ops.axis_names import FILE, IMAGEJ, OME, NamedAxes, name_axes
from ..segmenter import InputError
from .found import Found

#: Images with more bytes than this are read piece by piece where the file allows it.
LAZY_BYTES = 256 * 1024**2
#: Resolutions that give larger pixels (µm) are print sizes (72 to 1,200 dpi), not microscopes.
LARGEST_PRINT_PIXEL = 20.0
#: µm in a unit of length, by the names that OME, ImageJ and OME-Zarr use.
MICROMETRES = {
    "pm": 1e-6, "picometer": 1e-6, "å": 1e-4, "angstrom": 1e-4,
    "nm": 1e-3, "nanometer": 1e-3, "nanometre": 1e-3,
    "um": 1.0, "µm": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0,
    "mm": 1e3, "millimeter": 1e3, "millimetre": 1e3,
    "cm": 1e4, "centimeter": 1e4, "centimetre": 1e4,
    "inch": 25400.0, "in": 25400.0,
    "m": 1e6, "meter": 1e6, "metre": 1e6,
}  # fmt: skip


def micrometres(unit: object) -> float | None:
    """Length of a unit in µm; None for one that is not a length ("pixel").

    Examples
    --------
    >>> micrometres("nm"), micrometres("pixel")
    (0.001, None)
    """
    # ImageJ writes the sign µ as an escape; Unicode has two of them.
    text = str(unit).strip().replace("\\u00B5", "µ").replace("\u03bc", "µ")
    return MICROMETRES.get(text.lower())


def read_tiff(path: Path, *, palette: bool = True) -> Found:
    """Read the first image of a TIFF file.

    Parameters
    ----------
    path : Path
    palette : bool
        Apply colour palettes, but for ImageJ files: there a palette is for display only.

    Returns
    -------
    Found
        In memory up to `LAZY_BYTES`; above, a memory map, or a Zarr view of a compressed file.

    Raises
    ------
    InputError
        If there is no image in the file, or its end is missing.
    Exception
        What tifffile and its codecs raise for damaged files.
    """
    with tifffile.TiffFile(path) as tif:
        if not tif.series:
            raise InputError("expected a TIFF with an image, found none")
        series = tif.series[0]
        _check_pages(tif)
        _check_complete(series)
        data = _read_series(path, series)
        axes, source = series.axes, _source(tif)
        spacing = _spacing(tif)
        page = series.keyframe
        indexed = page.photometric == tifffile.PHOTOMETRIC.PALETTE
        if indexed and palette and not tif.is_imagej:
            data, axes = _apply_palette(data, axes, page.colormap)
        is_color = _is_color(page)
        coarse = None
        if hasattr(data, "chunks") and len(series.levels) > 1:
            coarse = _samples_last(_open_lazily(path, level=-1), axes, is_color)[0]
    data, axes = _samples_last(data, axes, is_color)
    named = _name_axes(axes, source)
    return Found(data, named, {a: s for a, s in spacing.items() if a in named.letters}, coarse)


def read_tiff_axes(path: Path) -> tuple[tuple[int, ...], NamedAxes]:
    """Read the shape of the first image, and what the file says of its axes; no pixels.

    Raises
    ------
    Exception
        What tifffile raises for damaged files.
    """
    with tifffile.TiffFile(path) as tif:
        series = tif.series[0]
        axes = series.axes
        if not (_is_color(series.keyframe) and axes.endswith("S")):
            axes = _samples_as_channels(axes)
        return series.shape, _name_axes(axes, _source(tif))


def _is_color(page: Any) -> bool:
    grey = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE)
    return page.photometric not in grey


def _source(tif: tifffile.TiffFile) -> str:
    """What the file's axes are known from."""
    return OME if tif.is_ome else IMAGEJ if tif.is_imagej else FILE


def _check_pages(tif: tifffile.TiffFile) -> None:
    """Follow the chain of pages: tifffile takes a broken one for a shorter stack."""
    form, file = tif.tiff, tif.filehandle
    file.seek(8 if form.is_bigtiff else 4)
    offset, seen = struct.unpack(form.offsetformat, file.read(form.offsetsize))[0], set()
    while offset and offset not in seen:
        seen.add(offset)
        if offset + form.tagnosize > file.size:
            raise InputError(f"the file is truncated: page {len(seen)} is missing")
        file.seek(offset)
        count = struct.unpack(form.tagnoformat, file.read(form.tagnosize))[0]
        file.seek(offset + form.tagnosize + count * form.tagsize)
        following = file.read(form.offsetsize)
        if len(following) < form.offsetsize:
            raise InputError(f"the file is truncated: page {len(seen)} is not whole")
        offset = struct.unpack(form.offsetformat, following)[0]


def _check_complete(series: tifffile.TiffPageSeries) -> None:
    for page in series.pages:
        if page is None or not page.dataoffsets:
            continue
        end = max(o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True))
        size = page.parent.filehandle.size
        if end > size:
            raise InputError(f"the file is truncated: expected {end} bytes or more, got {size}")


def _read_series(path: Path, series: tifffile.TiffPageSeries) -> ArrayLike:
    if series.nbytes > LAZY_BYTES:
        if series.dataoffset is not None:
            mapped: ArrayLike = tifffile.memmap(path, series=0, mode="r")
            return mapped
        if find_spec("zarr"):
            return _open_lazily(path)
    data: NDArray[Any] = series.asarray()
    return data.astype(data.dtype.newbyteorder("="), copy=False)


def _open_lazily(path: Path, level: int = 0) -> ArrayLike:
    """A Zarr view of a level of the first image; the file stays open as long as it is used."""
    import zarr

    store = tifffile.imread(path, series=0, level=level, aszarr=True)
    array = zarr.open_array(store, mode="r")
    weakref.finalize(array, store.close)
    return array


def _apply_palette(
    data: ArrayLike, axes: str, colormap: NDArray[np.uint16] | None
) -> tuple[ArrayLike, str]:
    if colormap is None or not isinstance(data, np.ndarray):
        return data, axes
    shift = 8 if colormap.max() > 255 else 0
    palette = (colormap.T >> shift).astype(np.uint8)
    if np.all(palette == palette[:, :1]):
        return palette[:, 0][data], axes
    return palette[data], axes + "S"


def _samples_last(data: ArrayLike, axes: str, is_color: bool) -> tuple[ArrayLike, str]:
    """Move samples of a colour picture last; other samples are channels."""
    where = axes.find("S")
    if where < 0 or (where == len(axes) - 1 and is_color and data.shape[where] in (3, 4)):
        return data, axes
    if is_color and data.shape[where] in (3, 4):
        moved = data if isinstance(data, np.ndarray) else _as_dask(data)
        return np.moveaxis(moved, where, -1), axes.replace("S", "") + "S"
    return data, _samples_as_channels(axes)


def _as_dask(data: Any) -> Any:
    """What is read piece by piece as an array whose axes can be moved."""
    if not find_spec("dask"):
        raise InputError(
            "samples of a large colour picture that lie apart (planar) need Dask: "
            'pip install "napari-instseg[zarr]"'
        )
    import dask.array as da

    return da.from_array(data, chunks=data.chunks)


def _samples_as_channels(axes: str) -> str:
    return axes.replace("S", "Q" if "C" in axes else "C")


def _name_axes(axes: str, source: str) -> NamedAxes:
    """Name axes by tifffile's letters, of which I and Q stand for anything."""
    rgb = axes.endswith("S")
    letters = ["" if letter in "IQ" else letter for letter in axes.removesuffix("S")]
    return name_axes(len(letters), [(letters, source)], rgb=rgb)


def _spacing(tif: tifffile.TiffFile) -> dict[str, float]:
    if tif.is_ome:
        found = _ome_spacing(tif.ome_metadata or "")
    elif tif.is_imagej:
        found = _imagej_spacing(tif)
    else:
        found = _tag_spacing(tif)
    return {axis: size for axis, size in found.items() if 0 < size < float("inf")}


def _ome_spacing(xml: str) -> dict[str, float]:
    try:
        pixels = ElementTree.fromstring(xml).find(".//{*}Pixels")
    except ElementTree.ParseError:
        return {}
    found: dict[str, float] = {}
    if pixels is None:
        return found
    for axis in "XYZ":
        size = pixels.get(f"PhysicalSize{axis}")
        unit = micrometres(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        if size and unit:
            found[axis] = _number(size) * unit
    return found


def _imagej_spacing(tif: tifffile.TiffFile) -> dict[str, float]:
    metadata = tif.imagej_metadata or {}
    unit = micrometres(metadata.get("unit", ""))
    if unit is None:
        return {}
    found = {axis: size * unit for axis, size in _pixels_per_unit(tif).items()}
    if "spacing" in metadata:
        found["Z"] = abs(_number(metadata["spacing"])) * unit
    return found


def _tag_spacing(tif: tifffile.TiffFile) -> dict[str, float]:
    tag = tif.pages.first.tags.get("ResolutionUnit")
    unit = {2: 25400.0, 3: 1e4}.get(int(tag.value)) if tag is not None else None
    if unit is None:
        return {}
    found = {axis: size * unit for axis, size in _pixels_per_unit(tif).items()}
    return found if max(found.values(), default=0) <= LARGEST_PRINT_PIXEL else {}


def _pixels_per_unit(tif: tifffile.TiffFile) -> dict[str, float]:
    """Size of a pixel by axis, in the file's unit."""
    found: dict[str, float] = {}
    for axis in "XY":
        tag = tif.pages.first.tags.get(f"{axis}Resolution")
        if tag is not None and all(tag.value):
            pixels, units = tag.value
            found[axis] = units / pixels
    return found


def _number(text: object) -> float:
    match = re.fullmatch(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*", str(text))
    return float(match.group(1)) if match else 0.0
