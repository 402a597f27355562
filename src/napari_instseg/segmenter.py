"""What a model must offer, what it returns, and how it fails."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .instances import Instances

#: A tile as models see it: (H, W, 3) float32 in [0, 1].
RGB: TypeAlias = NDArray[np.float32]


class InstsegError(Exception):
    """Base of this package's errors; its text can be shown to a user as it is."""


class InputError(InstsegError, ValueError):
    """An image, an axis or a setting that cannot be used; says what was expected."""


class ModelError(InstsegError):
    """A model or a weights file that cannot be used; says what to do."""


class WritingError(InstsegError, OSError):
    """Files that could not be written; says what became of what was there."""


class DeviceMemoryError(InstsegError):
    """A device ran out of memory; smaller batches or tiles may work."""


@dataclass(frozen=True, slots=True)
class Category:
    """A class of object.

    Parameters
    ----------
    id : int
        At least 1; the value in semantic label images.
    name : str
    is_thing : bool
        Countable (True), or stuff such as background tissue (False).
    color : (float, float, float)
        RGB in [0, 1].
    """

    id: int
    name: str
    is_thing: bool = True
    color: tuple[float, float, float] = (0.9, 0.6, 0.1)


def color_of(place: int) -> tuple[float, float, float]:
    """Colour in [0, 1] for a category of which only its place among others is known."""
    return colorsys.hsv_to_rgb((0.1 + place * 0.618034) % 1, 0.75, 0.9)


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a model says of one tile.

    Parameters
    ----------
    instances : Instances
    semantic : (H, W) integer array, optional
        Category id of each pixel, 0 is void.
    limit_reached : int
        The model's cap on objects if it was reached, else 0.
    """

    instances: Instances
    semantic: NDArray[np.integer[Any]] | None = None
    limit_reached: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """How a model's objects and stuff become label images.

    Parameters
    ----------
    boxes_only : bool
        The model finds boxes; each object's mask is all of its box.
    min_visible : float
        An object of which better ones leave less than this share is another view of them, and
        left out; in [0, 1] (Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019,
        section 3).
    min_stuff_area : int
        A stuff category with fewer pixels in a plane is left out there, px.
    """

    boxes_only: bool = False
    min_visible: float = 0.5
    min_stuff_area: int = 0


#: What holds where a model says nothing else.
USUAL_RULES = Rules()


@runtime_checkable
class Segmenter(Protocol):
    """A loaded model. Pure: the same tiles give the same predictions."""

    @property
    def categories(self) -> tuple[Category, ...]:
        """What the model can find."""
        ...

    @property
    def diameter(self) -> float | None:
        """Median object diameter (px) that the model was trained on; None if it has none."""
        ...

    @property
    def rules(self) -> Rules:
        """How its objects and stuff become label images."""
        ...

    @property
    def device(self) -> str:
        """Where it computes, for people: "CPU", "NVIDIA H100 (cuda:0)", ..."""
        ...

    @property
    def batch_size(self) -> int:
        """Number of tiles of usual size that the device does well with at a time."""
        ...

    def segment(self, tiles: Sequence[RGB]) -> list[Prediction]:
        """Segment each tile, in its own pixel grid.

        Raises
        ------
        DeviceMemoryError
            If the device has not enough memory for these tiles.
        """
        ...


def computing(model: Any) -> dict[str, str]:
    """Where a model computes and, if it says so, in which number format: for a recipe."""
    precision = getattr(model, "precision", "")
    return {"device": model.device, **({"precision": precision} if precision else {})}


@runtime_checkable
class ResizingSegmenter(Segmenter, Protocol):
    """A model that was trained on pictures of one size, and can resize tiles to it."""

    def as_trained(self) -> Segmenter:
        """Return the same model, resizing each tile as in its training."""
        ...
