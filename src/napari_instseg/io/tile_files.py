"""A tile's result as one file: masks packed to bits, nothing that could run."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..instances import Instances, Mask
from ..ops.results import TileResult
from ..ops.tiling import Tile
from ..segmenter import InputError
from .atomic import replacing


def write_tile(path: Path, result: TileResult) -> None:
    """Write a tile's result, whole or not at all.

    Notes
    -----
    A NumPy archive (npz, deflated): boxes, scores, category_ids, origins and sizes (N, 2) of the
    masks, their pixels one after the other as bits, semantic, and a few whole numbers.
    """
    found, semantic = result.instances, result.semantic
    limit, weakest = result.capped or (0, 0.0)
    arrays: dict[str, NDArray[Any]] = {
        **pack(found),
        "core": np.array(result.core.edges, np.int64),
        "non_finite": np.array(result.non_finite, np.int64),
        "limit": np.array(limit, np.int64),
        "weakest": np.array(weakest, np.float64),
    }
    if semantic is not None:
        arrays["semantic"] = semantic
    with replacing(path) as partial:
        np.savez_compressed(partial, allow_pickle=False, **arrays)


def pack(found: Instances) -> dict[str, NDArray[Any]]:
    """Turn objects into arrays of numbers; pixels of all masks one after the other, as bits."""
    pixels = [mask.pixels.ravel() for mask in found.masks]
    return {
        "shape": np.array(found.image_shape, np.int64),
        "boxes": found.boxes,
        "scores": found.scores,
        "category_ids": found.category_ids,
        "origins": np.array([mask.origin for mask in found.masks], np.int64).reshape(-1, 2),
        "sizes": np.array([mask.pixels.shape for mask in found.masks], np.int64).reshape(-1, 2),
        "bits": np.packbits(np.concatenate([np.empty(0, bool), *pixels])),
    }


def unpack(arrays: Mapping[str, NDArray[Any]]) -> Instances:
    """Turn the arrays of `pack` into objects again.

    Raises
    ------
    ValueError, KeyError, TypeError
        If they are none.
    """
    sizes, origins = arrays["sizes"].tolist(), arrays["origins"].tolist()
    areas = [height * width for height, width in sizes]
    bits, total = arrays["bits"], sum(areas)
    if min(areas, default=0) < 0 or bits.size != -(-total // 8):
        raise ValueError(f"expected {total} pixels of masks, got {8 * bits.size}")
    stops = np.cumsum([0, *areas], dtype=np.int64)
    pixels = np.unpackbits(bits, count=total).view(bool)
    masks = [
        Mask((row, col), pixels[begin:end].reshape(size))
        for (row, col), size, (begin, end) in zip(
            origins, sizes, pairwise(stops.tolist()), strict=True
        )
    ]
    height, width = arrays["shape"].tolist()
    return Instances.create(
        (height, width),
        masks,
        scores=arrays["scores"],
        category_ids=arrays["category_ids"],
        boxes=arrays["boxes"],
    )


def read_tile(path: Path) -> TileResult:
    """Read a tile's result.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    InputError
        If it is not whole.
    """
    try:
        # NumPy does not close what it cannot read.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = dict(file)
        return _unpack(arrays)
    except FileNotFoundError:
        raise
    except (
        *(OSError, ValueError, KeyError, EOFError, TypeError),
        *(zipfile.BadZipFile, zlib.error),
    ) as error:
        raise InputError(f"{path}: not the whole result of a tile ({error})") from error


def _unpack(arrays: dict[str, NDArray[Any]]) -> TileResult:
    limit = int(arrays["limit"])
    return TileResult(
        unpack(arrays),
        Tile(*arrays["core"].tolist()),
        arrays.get("semantic"),
        int(arrays["non_finite"]),
        (limit, float(arrays["weakest"])) if limit else None,
    )
