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
from ..segmenter import InputError

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


def read_tiff(path: Path, *, palette: bool = True) -> tuple[ArrayLike, str, dict[str, float]]:
    """Read the first image of a TIFF file.

    Parameters
    ----------
    path : Path
    palette : bool
        Apply colour palettes, but for ImageJ files: there a palette is for display only.

    Returns
    -------
    data : array
        In memory up to `LAZY_BYTES`; above, a memory map, or a Zarr view of a compressed file.
    axes : str
    spacing : dict of str to float
        µm per pixel, where known.

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
        axes = series.axes
        spacing = _spacing(tif)
        page = series.keyframe
        indexed = page.photometric == tifffile.PHOTOMETRIC.PALETTE
        if indexed and palette and not tif.is_imagej:
            data, axes = _apply_palette(data, axes, page.colormap)
        is_color = page.photometric not in (
            tifffile.PHOTOMETRIC.MINISBLACK,
            tifffile.PHOTOMETRIC.MINISWHITE,
        )
    data, axes = _name_axes(data, axes, is_color)
    return data, axes, {a: s for a, s in spacing.items() if a in axes}


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


def _open_lazily(path: Path) -> ArrayLike:
    """A Zarr view of the first image; the file stays open as long as the view is used."""
    import zarr

    store = tifffile.imread(path, series=0, level=0, aszarr=True)
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


def _name_axes(data: ArrayLike, axes: str, is_color: bool) -> tuple[ArrayLike, str]:
    """Make tifffile's axis letters those of `Image`: S last and for RGB(A) only."""
    where = axes.find("S")
    if where >= 0:
        samples = data.shape[where]
        if not is_color or samples not in (3, 4):
            axes = axes.replace("S", _free(axes, "CZT"))
        elif where != len(axes) - 1:
            if isinstance(data, np.ndarray):
                data = np.moveaxis(data, where, -1)
                axes = axes.replace("S", "") + "S"
            else:
                axes = axes.replace("S", _free(axes, "CZT"))
    if "S" in axes and "C" in axes:
        axes = axes.replace("C", _free(axes, "AZT"))
    for unknown in "IQ":
        axes = axes.replace(unknown, _free(axes, "ZT")) if unknown in axes else axes
    return data, axes


def _free(taken: str, choices: str) -> str:
    """First letter not taken yet."""
    rest = "ABDEFGHJKLMNOPRUVW"
    return next(letter for letter in choices + rest if letter not in taken)


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
