"""Image files of every known format in, by one function."""

from __future__ import annotations

import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ops.axes import Image
from ..ops.axis_names import FILE, NamedAxes, guess_axes
from ..segmenter import InputError
from .found import Found
from .labels import write_labels
from .npy import read_header
from .tiff import read_tiff, read_tiff_axes
from .zarr import is_zarr, read_zarr

__all__ = ["IMAGE_SUFFIXES", "is_image", "read_image", "read_labels", "stem_of", "write_labels"]

#: Names of image files end in one of these, in any case.
IMAGE_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy", ".zarr")
#: Held while the filters of warnings are changed.
_FILTERS = threading.Lock()
#: What readers raise for damaged files; imagecodecs' errors are RuntimeErrors, tifffile's are
#: ValueErrors or failed assertions, Zarr's are ValueErrors.
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def read_image(path: str | Path, axes: str | None = None) -> Image:
    """Read TIFF, OME-TIFF, ImageJ TIFF, PNG, JPEG, npy, Zarr or OME-Zarr.

    Parameters
    ----------
    path : str or Path
    axes : str, optional
        One letter a dimension, in any order, instead of what the file says; see `Image`.

    Returns
    -------
    Image
        Axes from the file's metadata where it has them, else guessed: YX, ZYX, TZYX or TZCYX,
        then S if the last dimension is 3 or 4 long; ``sources`` says which. Spacing where the
        file tells it. Large TIFFs, npy and Zarr are read when their pixels are asked for.

    Raises
    ------
    InputError
        If there is no such file, it is damaged or of an unknown kind, or the axes do not fit;
        the message names the file.

    Notes
    -----
    Palettes of PNG files become colours (or greys, if all of them are), LA and CMYK become grey
    and RGB. 16-bit PNG keeps its 16 bits.
    """
    path = Path(path).expanduser()
    with naming(path):
        found = _read(path)
        used = _axes(found) if axes is None else NamedAxes(axes.upper())
        kept = {a: size for a, size in found.spacing.items() if a in used.letters}
        return Image(found.data, used.letters, kept, stem_of(path), used.sources, found.coarse)


def read_labels(path: str | Path) -> NDArray[np.int64]:
    """Read a label image of any known format into memory.

    Returns
    -------
    int64 array
        0 is nothing; colour palettes are left out.

    Raises
    ------
    InputError
        If the file cannot be read, is a colour picture, or holds negative or broken numbers.
    """
    path = Path(path).expanduser()
    with naming(path):
        return _whole(_read_labels(path).data[...])


def read_label_image(path: str | Path, axes: str | None = None) -> Image:
    """Read a label image of any known format with its axes.

    Parameters
    ----------
    path : str or Path
    axes : str, optional
        See `read_image`.

    Returns
    -------
    Image
        Of integers; large ones are read when their pixels are asked for.

    Raises
    ------
    InputError
        As of `read_labels`; of numbers that are read later, only their type counts.
    """
    path = Path(path).expanduser()
    with naming(path):
        found = _read_labels(path)
        data = found.data
        if isinstance(data, np.ndarray) or np.dtype(data.dtype).kind not in "bui":
            data = _whole(data[...])
        used = _axes(found) if axes is None else NamedAxes(axes.upper())
        kept = {a: size for a, size in found.spacing.items() if a in used.letters}
        return Image(data, used.letters, kept, stem_of(path), used.sources)


def _read_labels(path: Path) -> Found:
    found = _read(path, palette=False)
    if "S" in _axes(found).letters:
        shape = found.data.shape
        raise InputError(f"expected a label image, got a colour picture of shape {shape}")
    return found


def _whole(data: Any) -> NDArray[np.int64]:
    values = np.asarray(data)
    labels = values.astype(np.int64)
    if values.dtype.kind not in "bui" and not np.array_equal(labels, values):
        raise InputError(f"expected whole numbers, got {values.dtype} with fractions")
    if labels.size and labels.min() < 0:
        raise InputError(f"expected labels from 0, got {labels.min()}")
    return labels


def read_axes(path: Path) -> tuple[tuple[int, ...], NamedAxes] | None:
    """Read what a file's metadata say of its axes, without a pixel.

    Parameters
    ----------
    path : Path

    Returns
    -------
    ((int, ...), NamedAxes) or None
        Shape and axes of a TIFF or Zarr; None for other files, for metadata without axes, and
        for what cannot be read.
    """
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            return read_tiff_axes(path)
        if is_zarr(path):
            found = read_zarr(path)
            return None if found.axes is None else (tuple(found.data.shape), found.axes)
    except (InputError, *DAMAGE):
        pass
    return None


def is_image(path: Path) -> bool:
    """Whether a path looks like an image: by its suffix, or a Zarr folder; hidden ones do not."""
    if path.name.startswith("."):
        return False
    return is_zarr(path) if path.is_dir() else path.suffix.lower() in IMAGE_SUFFIXES


def stem_of(path: Path) -> str:
    """Name of a file, or of a link to one, without its suffixes.

    Examples
    --------
    >>> stem_of(Path("day 1/cells.v2.ome.tif"))
    'cells.v2'
    """
    # Of "." the name of the folder; links keep their own.
    name = os.path.basename(os.path.abspath(path))
    for suffix in IMAGE_SUFFIXES:
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    return (name[:-4] if name.lower().endswith(".ome") else name) or "image"


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn whatever a reader raises into an `InputError` that names the file."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except MemoryError as error:
        raise InputError(
            f"{path}: does not fit into memory; save it as uncompressed or tiled TIFF, or Zarr, "
            "which are read piece by piece"
        ) from error
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read it") from error
    except DAMAGE as error:
        reason = str(error).strip() or type(error).__name__
        raise InputError(
            f"{path}: damaged, truncated, or not what its name says ({reason})"
        ) from error


def _axes(found: Found) -> NamedAxes:
    return found.axes or guess_axes(found.data.shape)


def _read(path: Path, *, palette: bool = True) -> Found:
    suffix = path.suffix.lower()
    if not path.exists():
        raise InputError("no such file")
    if path.is_dir():
        if not is_zarr(path):
            raise InputError("is a folder; expected an image file or a Zarr folder")
        return read_zarr(path)
    if path.stat().st_size == 0:
        raise InputError("the file is empty")
    if suffix in (".tif", ".tiff"):
        return read_tiff(path, palette=palette)
    if suffix in (".png", ".jpg", ".jpeg"):
        array = read_picture(path, palette=palette)
        letters = "YX" if array.ndim == 2 else "YXS"
        return Found(array, NamedAxes(letters, dict.fromkeys(letters, FILE)))
    if suffix == ".npy":
        return Found(_read_npy(path), None)
    raise InputError(f"unknown kind of file; expected one of {', '.join(IMAGE_SUFFIXES)}")


def _read_npy(path: Path) -> NDArray[Any]:
    """Map into memory; never unpickle."""
    with path.open("rb") as file:
        shape, _ = read_header(file)
    # An array without pixels cannot be mapped.
    array: NDArray[Any] = np.load(path, mmap_mode=None if 0 in shape else "r", allow_pickle=False)
    return array


def read_picture(path: Path, *, palette: bool = True) -> NDArray[Any]:
    """Read PNG or JPEG with Pillow, which cuts 16-bit colour to 8: that goes elsewhere."""
    from PIL import Image as Pillow

    array = _read_png16(path)
    if array is None:
        # The filters belong to all threads: only the size is looked at while they are changed.
        with _FILTERS, warnings.catch_warnings():
            # Large pictures are normal here; Pillow still refuses absurd ones with an error.
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            try:
                picture = Pillow.open(path, formats=("PNG", "JPEG"))
            except Pillow.DecompressionBombError as error:
                raise InputError("too many pixels for a PNG or JPEG: save it as TIFF") from error
        with picture:
            array = _pixels(picture, palette)
    if array.ndim == 3 and array.shape[-1] in (1, 2):
        array = array[..., 0]
    return array


def _pixels(picture: Any, palette: bool) -> NDArray[Any]:
    if picture.mode in ("P", "PA") and palette:
        array = np.asarray(picture.convert("RGB"))
        grey = bool(np.all(array == array[..., :1]))
        return array[..., 0] if grey else array
    if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
        picture = picture.convert("RGB")
    array = np.asarray(picture)
    # Pillow reads 16-bit grey as int32 in older versions.
    return array.astype(np.uint16) if picture.mode == "I" and picture.format == "PNG" else array


def _read_png16(path: Path) -> NDArray[Any] | None:
    """16-bit colour of a PNG; None for everything else."""
    with path.open("rb") as file:
        head = file.read(26)
        if not head.startswith(b"\x89PNG\r\n\x1a\n") or len(head) < 26:
            return None
        depth, color = head[24], head[25]
        if depth != 16 or color not in (2, 4, 6):
            return None
        from imagecodecs import png_decode

        array: NDArray[Any] = png_decode(head + file.read())
        return array
