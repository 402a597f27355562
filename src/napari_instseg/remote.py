"""Models and images that other processes load and open by themselves: names travel, not arrays."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from .io.atomic import replacing
from .io.images import read_image
from .io.zarr import is_zarr_data
from .models.entry import LoadedModel
from .models.registry import find, load_for
from .ops.axes import ArrayLike, Image
from .segmenter import (
    RGB,
    Category,
    InputError,
    ModelError,
    Prediction,
    ResizingSegmenter,
    Rules,
    Segmenter,
    computing,
)
from .settings import MODEL_FIELDS, Settings

#: Pixels of an image that was given as an array.
PIXELS = "image.npy"
_loading = Lock()


@dataclass(frozen=True)
class RemoteModel:
    """A `Segmenter` that each process loads when it first uses it.

    Parameters
    ----------
    settings : Settings
        What names the model.
    sha256 : str
        Of its weights.
    resizing : bool
        Take it as it resizes tiles by itself.
    categories, diameter, rules, device, batch_size, precision
        See `Segmenter`; as they are where it was described.
    """

    settings: Settings
    sha256: str
    resizing: bool
    categories: tuple[Category, ...]
    diameter: float | None
    rules: Rules
    device: str
    batch_size: int
    precision: str

    def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        """Segment tiles in this process; see `Segmenter`.

        Raises
        ------
        ModelError
            If the model cannot be loaded here, or has other weights here.
        """
        loaded = _load(self.settings)
        if loaded.sha256 != self.sha256:
            raise ModelError(
                f"{loaded.name}: expected the same weights on all machines, got "
                f"{loaded.sha256[:12]}... instead of {self.sha256[:12]}... on one of them"
            )
        segmenter = loaded.segmenter
        if self.resizing and isinstance(segmenter, ResizingSegmenter):
            segmenter = segmenter.as_trained()
        return segmenter.segment(tiles)


@dataclass(frozen=True)
class RemoteResizingModel(RemoteModel):
    """A `RemoteModel` that can resize tiles by itself: ``trained`` does."""

    trained: RemoteModel

    def as_trained(self) -> RemoteModel:
        """See `ResizingSegmenter`."""
        return self.trained


def describe(settings: Settings) -> LoadedModel:
    """Load a model, and return it as one that can be sent elsewhere.

    Raises
    ------
    ModelError
        As of `models.registry.load`.
    """
    chosen = Settings(**{name: getattr(settings, name) for name in MODEL_FIELDS})
    loaded = _load(chosen)
    segmenter, digest = loaded.segmenter, loaded.sha256
    model = RemoteModel(chosen, digest, False, *_facts(segmenter))
    if isinstance(segmenter, ResizingSegmenter):
        trained = RemoteModel(chosen, digest, True, *_facts(segmenter.as_trained()))
        model = RemoteResizingModel(chosen, digest, False, *_facts(segmenter), trained)
    return LoadedModel(model, loaded.name, loaded.file, digest, loaded.config_sha256)


def _facts(model: Segmenter) -> tuple[tuple[Category, ...], float | None, Rules, str, int, str]:
    precision = computing(model).get("precision", "")
    return (
        *(model.categories, model.diameter, model.rules, model.device, model.batch_size),
        precision,
    )


def _load(settings: Settings) -> LoadedModel:
    # Threads of a process wait for each other, and share it.
    with _loading:
        return _loaded(settings, _files_of(settings))


def _files_of(settings: Settings) -> tuple[tuple[int, int] | None, ...]:
    """By what the model's files are known again: a worker may outlive them."""
    entry = find(settings.model, settings.weights, settings.categories)
    paths = (entry.path, Path(entry.config), entry.categories)
    stats = [path.stat() if path is not None and path.is_file() else None for path in paths]
    return tuple(stat and (stat.st_mtime_ns, stat.st_size) for stat in stats)


@lru_cache(maxsize=1)
def _loaded(settings: Settings, files: tuple[tuple[int, int] | None, ...]) -> LoadedModel:
    return load_for(settings)


class FilePixels:
    """Pixels of a file that each process opens when it first reads them.

    Parameters
    ----------
    path : Path
    data : array
        The same pixels, as they are read here.
    opening : str
        Opened once by each process for each of these: a worker outlives runs, and the file may be
        another one by the next.
    field : {"data", "coarse"}
        Which array of the image.
    """

    def __init__(self, path: Path, data: ArrayLike, opening: str, field: str = "data") -> None:
        self.path, self.shape, self.dtype = path.absolute(), tuple(data.shape), data.dtype
        # By which the intensities are sampled.
        self.chunks = getattr(data, "chunks", None)
        self._opening, self._field = opening, field

    def __getitem__(self, key: Any) -> Any:
        """Read a part."""
        try:
            data = getattr(_opened(self.path, self._opening), self._field)
        except InputError as error:
            raise InputError(f"{error}; expected all workers to see the same files") from error
        if (tuple(data.shape), data.dtype) != (self.shape, self.dtype):
            raise InputError(
                f"{self.path}: expected {self.dtype} pixels of shape {self.shape} on all machines, "
                f"got {data.dtype} of shape {tuple(data.shape)}"
            )
        return DaskPixels(data)[key] if _is_dask(data) else data[key]


@lru_cache(maxsize=1)
def _opened(path: Path, opening: str) -> Image:
    return read_image(path)


class DaskPixels:
    """A dask array whose parts are computed by whoever reads them, without further tasks."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self.shape, self.dtype, self.chunks = tuple(data.shape), data.dtype, data.chunks

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Compute a part."""
        # The workers' own scheduler would wait for threads that wait for this one.
        return np.asarray(self._data[key].compute(scheduler="synchronous"))


def _is_kept_as_zarr(data: object) -> bool:
    """Whether an array is kept as Zarr, not in memory, and can be sent as a description."""
    if not is_zarr_data(data):
        return False
    import zarr

    return not isinstance(data.store, zarr.storage.MemoryStore)  # type: ignore[attr-defined]


def _is_dask(data: object) -> bool:
    dask = sys.modules.get("dask.array")
    return dask is not None and isinstance(data, dask.Array)


def portable(image: Image, path: Path | None, folder: Path) -> Image:
    """Return an image that can be sent to other processes without its pixels.

    Parameters
    ----------
    image : Image
    path : Path, optional
        The file that it was read from.
    folder : Path
        Where the pixels are written if there is no other way; all processes must see it.

    Returns
    -------
    Image
        Zarr arrays stay as they are. The others are opened where they are read: files by their
        path, dask arrays by their graph, arrays in memory from a file in ``folder``.
    """
    data, coarse = image.data, image.coarse
    if _is_kept_as_zarr(data):
        return image
    if path is None and _is_dask(data):
        coarse = DaskPixels(coarse) if _is_dask(coarse) else coarse
        return replace(image, data=DaskPixels(data), coarse=coarse)
    if path is None:
        # Coarser ones are only looked at of images in chunks.
        path, coarse = folder / PIXELS, None
        with replacing(path) as partial, partial.open("wb") as stream:
            np.save(stream, np.asarray(data[...]), allow_pickle=False)
    opening = uuid4().hex
    if coarse is not None:
        coarse = FilePixels(path, coarse, opening, "coarse")
    return replace(image, data=FilePixels(path, data, opening), coarse=coarse)
