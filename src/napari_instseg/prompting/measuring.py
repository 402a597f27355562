"""How large the objects of an image are, by asking a promptable model in a few places."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..ops.nesting import flatten
from ..promptable import Embedding, Prompts, PromptSegmenter
from .batches import in_batches, join
from .everything_points import grid
from .everything_settings import EverythingSettings
from .image_views import ImageViews
from .picture_masks import PictureMasks
from .views import View

#: Where to look, as shares of height and width; the next one only where too little was found.
PLACES = ((0.5, 0.5), (0.25, 0.25), (0.75, 0.75), (0.25, 0.75), (0.75, 0.25))
#: Points a side of a picture.
POINTS = 16
#: So many objects are enough, and fewer than so many too few.
ENOUGH, LEAST = 8, 3
#: Objects far from the size that a model knows get worse answers than those that are kept.
MIN_IOU, MIN_STABILITY = 0.4, 0.4
#: What fills more of a picture is its background.
LARGEST = 0.25


def measure_diameter(
    views: ImageViews, embed: Callable[[View], Embedding], prompter: PromptSegmenter
) -> float:
    """Measure the median diameter of the objects in the middle plane.

    Parameters
    ----------
    views : ImageViews
        Of the image in its own pixels.
    embed : callable
        Gives the embedding of a view.
    prompter : PromptSegmenter

    Returns
    -------
    float
        Of circles of the objects' areas, px of the plane; NaN if too few were found.
    """
    planes = views.planes
    plane = planes[len(planes) // 2]
    height, width = views.plane_shape
    found: dict[View, list[float]] = {}
    for row, col in PLACES:
        at = row * height, col * width
        view = views.pyramid.view_for(plane, (*at, *at))
        if view not in found:
            found[view] = _diameters(view, embed(view), prompter)
        if sum(map(len, found.values())) >= ENOUGH:
            break
    diameters = [one for several in found.values() for one in several]
    return float(np.median(diameters)) if len(diameters) >= LEAST else float("nan")


def _diameters(view: View, embedding: Embedding, prompter: PromptSegmenter) -> list[float]:
    points = grid(POINTS, view.tile.shape)
    decode = partial(
        prompter.decode, embedding, min_predicted_iou=MIN_IOU, min_stability=MIN_STABILITY
    )
    answers = [*in_batches(decode, Prompts.create(points[:, np.newaxis]), len(points))]
    found = PictureMasks.of(view, join(answers))
    tile = view.tile
    height, width = tile.shape
    wanted = EverythingSettings(
        min_predicted_iou=MIN_IOU,
        min_stability=MIN_STABILITY,
        max_area=LARGEST * height * width,
    )
    chosen = found.choose(wanted, 1.0)
    masks = [*found.masks(chosen.tolist())]
    whole = flatten(masks, found.predicted_iou[chosen])
    bounds = found.bounds[chosen[whole]]
    # What an edge cuts is not seen whole.
    inside = (bounds[:, :2] > (tile.top, tile.left)) & (bounds[:, 2:] < (tile.bottom, tile.right))
    areas = found.areas[chosen[whole[inside.all(axis=1)]]]
    return [float(diameter) for diameter in 2 * np.sqrt(areas / np.pi)]
