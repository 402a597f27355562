"""What the dimensions of an image layer mean, by all that is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path

import napari.layers

from ..ops.axis_names import CHOSEN, FILE, GUESSED, LABELS, NamedAxes, letters_of, name_axes
from .geometry import level_shape
from .links import AXES_KEY

#: Where readers keep the names of axes in a layer's metadata.
METADATA_KEYS = ("axes", "axis_labels", "dims", "dimension_names")


def layer_axes(layer: napari.layers.Image | napari.layers.Labels) -> NamedAxes:
    """Name the axes of a layer by all that is known of them, and guess the rest.

    What the user chose in a dock comes first, then the layer's axis labels, its metadata, and
    those of the file that it was opened from.

    Parameters
    ----------
    layer : napari.layers.Image or napari.layers.Labels

    Returns
    -------
    NamedAxes
        Of T, Z, C, Y, X, others for separate images, and a last S for RGB(A) samples; see
        `name_axes` for guesses.
    """
    shape = level_shape(layer, 0)
    hints = (
        (_chosen(layer), CHOSEN),
        (letters_of(layer.axis_labels), LABELS),
        (_in_metadata(layer), FILE),
        _in_file(layer, shape),
    )
    return name_axes(len(shape), hints, rgb=_is_rgb(layer))


def choose_axis(layer: napari.layers.Image, dimension: int, letter: str) -> None:
    """Say what a dimension of a layer means, and remember it in the layer's metadata.

    A dimension that had the letter gets the other's in return.
    """
    before = layer_axes(layer).letters
    chosen = list(_chosen(layer)) or [""] * layer.ndim
    if letter in before and before.index(letter) != dimension:
        chosen[before.index(letter)] = before[dimension]
    chosen[dimension] = letter
    layer.metadata = {**layer.metadata, AXES_KEY: tuple(chosen)}


def _is_rgb(layer: napari.layers.Image | napari.layers.Labels) -> bool:
    return isinstance(layer, napari.layers.Image) and bool(layer.rgb)


def _chosen(layer: napari.layers.Image | napari.layers.Labels) -> tuple[str, ...]:
    """What was chosen, "" for each dimension of which nothing was; empty if nothing fits."""
    chosen = tuple(layer.metadata.get(AXES_KEY, ()))
    return chosen if len(chosen) == layer.ndim else ()


def _in_metadata(layer: napari.layers.Image | napari.layers.Labels) -> tuple[str, ...]:
    """What a reader has kept of axes: names, one string of letters, or entries of OME-Zarr."""
    for key in METADATA_KEYS:
        names = layer.metadata.get(key)
        if isinstance(names, Sequence):
            letters = letters_of([n.get("name") if isinstance(n, Mapping) else n for n in names])
            # Readers that make a layer of each channel keep the names of all axes.
            split = len(letters) == layer.ndim + 1
            return tuple(letter for letter in letters if not (split and letter == "C"))
    return ()


def _in_file(
    layer: napari.layers.Image | napari.layers.Labels, shape: tuple[int, ...]
) -> tuple[Sequence[str], str]:
    """What the layer's file says, if it has the layer's shape, and where it says it."""
    found = _read(str(layer.source.path)) if layer.source.path else None
    if found is None:
        return (), FILE
    sizes, named = found
    known = {a: source for a, source in named.sources.items() if source != GUESSED}
    axes = [(a if a in known else "", n) for a, n in zip(named.letters, sizes, strict=True)]
    if named.letters.endswith("S"):
        axes = axes[:-1] if _is_rgb(layer) else [*axes[:-1], ("C", sizes[-1])]
    for letters, kept in _as_opened(axes):
        if kept == shape:
            return letters, next(iter(known.values()), FILE)
    return (), FILE


def _as_opened(axes: Sequence[tuple[str, int]]) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """Letters and sizes as readers leave them: channels may be layers, single planes left out."""
    for split, squeezed in product((False, True), repeat=2):
        kept = [(a, n) for a, n in axes if not (split and a == "C") and not (squeezed and n == 1)]
        yield [a for a, _ in kept], tuple(n for _, n in kept)


def _read(text: str) -> tuple[tuple[int, ...], NamedAxes] | None:
    path = Path(text)
    return _read_once(path, path.stat().st_mtime_ns) if path.exists() else None


@lru_cache(maxsize=64)
def _read_once(path: Path, changed: int) -> tuple[tuple[int, ...], NamedAxes] | None:
    """Read a file's axes; docks ask for them often, and ``changed`` says when it was written."""
    # Readers are imported when a file is read.
    from ..io.images import read_axes

    return read_axes(path)
