"""Training data: a folder of images and a folder of label images with the same names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..io.images import is_image, read_image, read_labels, stem_of
from ..io.index import read_kinds


@dataclass(frozen=True, slots=True)
class Pair:
    """Where one image and its labels lie, and what kind of image it is, if known."""

    image: Path
    labels: Path
    kind: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """An image (H, W) or (H, W, 3), its labels (H, W), and the median diameter (px)."""

    image: NDArray[np.generic]
    labels: NDArray[np.integer]
    diameter: float
    kind: str


def find_pairs(folder: Path) -> list[Pair]:
    """Find images with labels in ``folder/images`` and ``folder/labels``.

    The labels of ``a.tif`` are called ``a`` or ``a_instances``, in any format.

    An ``index.csv`` in the folder or above it with the columns ``name`` and ``kind`` tells
    what kind each image is; kinds are then balanced in training.

    Raises
    ------
    FileNotFoundError
        If a sub-folder is missing, or an image has no label image, or there is no image.
    """
    images, labels = folder / "images", folder / "labels"
    for needed in (images, labels):
        if not needed.is_dir():
            raise FileNotFoundError(
                f"expected the folder {needed} (training data is a folder with 'images' and "
                "'labels', where each image has a label image of the same name)"
            )
    kinds = read_kinds((folder, folder.parent))
    by_stem = {stem_of(path): path for path in sorted(labels.iterdir()) if is_image(path)}
    pairs = []
    for path in sorted(images.iterdir()):
        if not is_image(path):
            continue
        stem = stem_of(path)
        found = by_stem.get(stem) or by_stem.get(f"{stem}_instances")
        if found is None:
            raise FileNotFoundError(f"expected a label image named {stem} in {labels}")
        pairs.append(Pair(path, found, kinds.get(stem, "")))
    if not pairs:
        raise FileNotFoundError(f"found no images in {images}")
    return pairs


def load_examples(pairs: list[Pair]) -> list[Example]:
    """Read all pairs into memory.

    Raises
    ------
    ValueError
        If an image and its labels differ in shape; both are named.
    """
    examples = []
    for pair in pairs:
        image = np.asarray(read_image(pair.image).data)
        labels = read_labels(pair.labels)
        if image.ndim == 3 and image.shape[-1] == 4:
            image = image[..., :3]
        if image.shape[:2] != labels.shape:
            raise ValueError(
                f"expected {pair.labels} to have the shape {image.shape[:2]} of {pair.image}, "
                f"got {labels.shape}"
            )
        examples.append(Example(image, labels, median_diameter(labels), pair.kind))
    return examples


def median_diameter(labels: NDArray[np.integer]) -> float:
    """Median diameter (px) of a circle with each object's area; 20 where there is none."""
    # Numbers may be large: no table of all of them.
    areas = np.unique(labels[labels > 0], return_counts=True)[1]
    return float(2 * np.sqrt(np.median(areas) / np.pi)) if areas.size else 20.0


def sampling_weights(examples: list[Example]) -> NDArray[np.float64]:
    """Chance of each image to be drawn.

    Kinds count by the square root of their number of images, so that a rare kind is seen
    often enough; within a kind, images with more objects are drawn more.
    """
    richness = np.sqrt([1 + len(np.unique(example.labels)) for example in examples])
    kinds = np.array([example.kind for example in examples])
    weights = np.zeros(len(examples))
    for kind in np.unique(kinds):
        of_kind = kinds == kind
        weights[of_kind] = richness[of_kind] / richness[of_kind].sum() * np.sqrt(of_kind.sum())
    return np.asarray(weights / weights.sum(), np.float64)
