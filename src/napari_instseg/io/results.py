"""What a segmentation leaves on disk: label images, table, recipe, picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..segmenter import InputError
from .atomic import replacing, write_text
from .labels import write_labels

if TYPE_CHECKING:
    from ..segmentation import Segmentation

#: Names of the table and the recipe; label images are named after what they show.
TABLE, RECIPE = "segments.csv", "recipe.json"


def result_paths(outputs: Sequence[str], folder: Path, stem: str = "") -> list[Path]:
    """Name the files that `save_segmentation` writes, in its order.

    Examples
    --------
    >>> [p.name for p in result_paths(["instances"], Path("out"), "a")]
    ['a_instances.tif', 'a_segments.csv', 'a_recipe.json']
    """
    prefix = f"{stem}_" if stem else ""
    names = [*(f"{output}.tif" for output in outputs), TABLE, RECIPE]
    return [folder / (prefix + name) for name in names]


def save_segmentation(segmentation: Segmentation, folder: Path, stem: str = "") -> list[Path]:
    """Write label images, table and recipe.

    Parameters
    ----------
    segmentation : Segmentation
    folder : Path
        Made if it is not there.
    stem : str
        Names become ``<stem>_instances.tif`` and so on; ``instances.tif`` if it is empty.

    Returns
    -------
    list of Path
        The label images of ``settings.outputs`` (see `write_labels`), the table as CSV, and
        the recipe as JSON. Each is whole or not there, and the recipe comes last: where it
        is, the others are.

    Raises
    ------
    OSError
        If the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = segmentation.image
    *label_paths, table, recipe = paths = result_paths(segmentation.settings.outputs, folder, stem)
    for output, path in zip(segmentation.settings.outputs, label_paths, strict=True):
        labels: NDArray[np.integer[Any]] = getattr(segmentation, output)
        write_labels(path, labels, image.label_axes, image.spacing)
    with replacing(table) as partial:
        segmentation.table.to_csv(partial, index=False, lineterminator="\n")
    write_text(recipe, json.dumps(segmentation.recipe, indent=2, ensure_ascii=False) + "\n")
    return paths


def read_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe that `save_segmentation` wrote.

    Raises
    ------
    InputError
        If there is no such file, or it is not a recipe; the message names the file.
    """
    path = Path(path).expanduser()
    try:
        recipe = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a recipe in JSON ({error})") from error
    if not isinstance(recipe, dict) or not isinstance(recipe.get("settings"), dict):
        raise InputError(f"{path}: expected a recipe with 'settings', as a run writes it")
    return recipe


def write_overlay(path: Path, plane_rgb: NDArray[Any], instances: NDArray[Any]) -> Path:
    """Write a PNG of the image with the outline of each object in a colour of its own.

    Parameters
    ----------
    path : Path
    plane_rgb : (H, W, 3) float array
        In [0, 1]; values beyond are clipped.
    instances : (H, W) integer array
        Object numbers, 0 is nothing.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    InputError
        If the shapes do not fit.
    """
    if plane_rgb.ndim != 3 or plane_rgb.shape != (*instances.shape, 3):
        raise InputError(
            f"expected an RGB image of shape {(*instances.shape, 3)} for these labels, got "
            f"{plane_rgb.shape}"
        )
    from PIL import Image as Pillow

    picture = np.round(np.clip(plane_rgb, 0, 1) * 255).astype(np.uint8)
    edge = outlines(instances)
    picture[edge] = object_colors(instances[edge])
    with replacing(path) as partial:
        Pillow.fromarray(picture).save(partial, format="PNG", optimize=True)
    return path


def outlines(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark the pixels of objects that have another label above, below, left or right of them.

    Parameters
    ----------
    labels : (H, W) integer array

    Returns
    -------
    (H, W) bool array
        Lines one pixel wide, inside the objects; none along the image's border.
    """
    edge: NDArray[np.bool_] = np.zeros(labels.shape, np.bool_)
    down = labels[1:] != labels[:-1]
    right = labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    edge[labels == 0] = False
    return edge


def object_colors(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """Give each number a bright colour; numbers in a row get hues far apart.

    Parameters
    ----------
    labels : (N,) integer array

    Returns
    -------
    (N, 3) uint8 array

    References
    ----------
    Smith, "Color gamut transform pairs", SIGGRAPH 1978 (HSV); hues by the golden ratio.
    """
    numbers = labels.astype(np.int64)
    hue = (numbers * 0.618033988749895) % 1 * 6
    saturation = np.where(numbers % 2, 1.0, 0.7)
    # In HSV each primary is value * (1 - saturation * how far the hue is from it).
    offset = (np.array([5.0, 3.0, 1.0]) + hue[:, np.newaxis]) % 6
    distance = np.clip(np.minimum(offset, 4 - offset), 0, 1)
    colors: NDArray[np.uint8] = np.round(255 * (1 - saturation[:, np.newaxis] * distance)).astype(
        np.uint8
    )
    return colors
