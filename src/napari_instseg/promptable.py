"""What a promptable model must offer, what it is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .instances import Mask
from .segmenter import RGB, InputError

#: What a point says of the object: it lies on it, or it does not.
ON, OFF = 1, 0
#: Logit of a mask prompt inside; outside it is the negative of this.
MASK_LOGIT = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """What the encoder makes of one picture; a value that can be kept, cached and shared.

    Parameters
    ----------
    arrays : tuple of (C, h, w) float32 or float16 arrays
        What the decoder needs, the coarsest map first.
    picture_shape : (int, int)
        Height and width of the picture, px.
    model : str
        SHA-256 of the weights that made it.
    """

    arrays: tuple[NDArray[np.floating], ...]
    picture_shape: tuple[int, int]
    model: str

    @property
    def nbytes(self) -> int:
        """Size in memory, bytes."""
        return sum(array.nbytes for array in self.arrays)

    def half(self) -> Embedding:
        """Return it as float16: half the size, and what is kept on disk."""
        arrays = tuple(array.astype(np.float16) for array in self.arrays)
        return Embedding(arrays, self.picture_shape, self.model)

    def check_model(self, model: str) -> None:
        """Raise InputError unless it was made by the weights of this SHA-256."""
        if self.model != model:
            raise InputError(
                "this embedding was made by another model: expected one of the weights "
                f"{model[:12]}, got {self.model[:12]}; encode the picture again"
            )


def shape_of(picture: RGB) -> tuple[int, int]:
    """Height and width of a picture, px.

    Raises
    ------
    InputError
        If it is not (H, W, 3), or has no pixels.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise InputError(f"expected a picture (H, W, 3) with pixels, got {picture.shape}")
    return picture.shape[0], picture.shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class Prompts:
    """What is asked about N objects of one picture, in px of the picture.

    Coordinates are continuous: pixel (r, c) covers r to r + 1 and c to c + 1.

    Parameters
    ----------
    points : (N, P, 2) float32
        Row and column; P may be 0.
    labels : (N, P) int64
        `ON` (1): on the object; `OFF` (0): not.
    boxes : (N, 4) float32, optional
        Row and column of the first, row and column of the last corner.
    logits : (N, h, w) float32, optional
        Of a mask, on the model's own grid, as in `Candidates.logits`.

    Raises
    ------
    InputError
        If shapes disagree, a number is not finite, a label is not 0 or 1, or a box is empty.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float32] | None = None
    logits: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        points, labels, boxes, logits = self.points, self.labels, self.boxes, self.logits
        if points.ndim != 3 or points.shape[2] != 2 or labels.shape != points.shape[:2]:
            raise InputError(
                "prompts: expected points (N, P, 2) with one label each (N, P), got "
                f"{points.shape} and {labels.shape}"
            )
        count = len(points)
        if boxes is not None and boxes.shape != (count, 4):
            raise InputError(f"prompts: expected boxes ({count}, 4), got {boxes.shape}")
        if logits is not None and (logits.ndim != 3 or len(logits) != count):
            raise InputError(f"prompts: expected {count} masks (N, h, w), got {logits.shape}")
        for name, array in (("points", points), ("boxes", boxes), ("masks", logits)):
            if array is not None and not np.isfinite(array).all():
                raise InputError(f"prompts: expected finite numbers, got others in {name}")
        if not np.isin(labels, (OFF, ON)).all():
            raise InputError(
                f"prompts: expected labels 1 (on the object) or 0 (not), got {np.unique(labels)}"
            )
        if boxes is not None and not (boxes[:, :2] < boxes[:, 2:]).all():
            raise InputError(
                "prompts: expected boxes as row_min, col_min, row_max, col_max with min < max"
            )
        if points.shape[1] == 0 and boxes is None and logits is None and count:
            raise InputError("prompts: expected points, a box or a mask; got none of these")

    @classmethod
    def create(
        cls,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        boxes: ArrayLike | None = None,
        logits: ArrayLike | None = None,
    ) -> Prompts:
        """Build from (N, P, 2) points (labels default to `ON`), (N, 4) boxes, (N, h, w) logits."""
        given = [np.asarray(value) for value in (points, boxes, logits) if value is not None]
        count = len(given[0]) if given else 0
        where = np.array(np.zeros((count, 0, 2)) if points is None else points, np.float32)
        return cls(
            where,
            np.full(where.shape[:2], ON, np.int64)
            if labels is None
            else np.array(labels, np.int64),
            None if boxes is None else np.array(boxes, np.float32),
            None if logits is None else np.array(logits, np.float32),
        )

    def __len__(self) -> int:
        return len(self.points)

    def take(self, which: slice | NDArray[np.integer]) -> Prompts:
        """Select objects, in that order."""
        return Prompts(
            self.points[which],
            self.labels[which],
            None if self.boxes is None else self.boxes[which],
            None if self.logits is None else self.logits[which],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """M masks that answer N prompts; those of one prompt lie side by side.

    Parameters
    ----------
    picture_shape : (int, int)
        Height and width of the picture, px.
    prompts : (M,) int64
        Index of the prompt, ascending.
    outputs : (M,) int64
        Which of the decoder's outputs: 0 the one for a clear prompt, 1 to 3 those for an
        ambiguous one (part, whole, ...).
    predicted_iou : (M,) float32
        What the model thinks of the mask; about [0, 1], not clipped.
    stability : (M,) float32
        IoU of the mask at logits above +1 and above -1; in [0, 1].
    masks : tuple of M Mask
        Crops inside the picture; one without pixels is (0, 0) in size.
    logits : (M, h, w) float32, optional
        On the model's own grid; may go back as a prompt. Only where asked for.
    """

    picture_shape: tuple[int, int]
    prompts: NDArray[np.int64]
    outputs: NDArray[np.int64]
    predicted_iou: NDArray[np.float32]
    stability: NDArray[np.float32]
    masks: tuple[Mask, ...]
    logits: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.masks)

    def take(self, which: ArrayLike) -> Candidates:
        """Select masks by index or by a bool for each, in that order."""
        index = np.asarray(which)
        if index.dtype == np.bool_:
            index = np.flatnonzero(index)
        index = index.astype(np.intp)
        return Candidates(
            self.picture_shape,
            self.prompts[index],
            self.outputs[index],
            self.predicted_iou[index],
            self.stability[index],
            tuple(self.masks[i] for i in index),
            None if self.logits is None else self.logits[index],
        )


@dataclass(frozen=True, slots=True)
class Habits:
    """How a model takes pictures and prompts.

    Parameters
    ----------
    stretches : bool
        It stretches pictures to a square; else they keep their shape, and are padded.
    fills_boxes : bool
        It was trained on boxes with the ellipse in them as a mask, and with a click, at their
        centre if there is no other.
    leaves_crumbs : bool
        Its masks have holes and crumbs that are no part of the object.
    points_per_side : int
        How closely it is asked, where it is asked all over a picture.
    min_predicted_iou, min_stability : float
        What its masks are usually worth keeping for, then.
    """

    stretches: bool = False
    fills_boxes: bool = False
    leaves_crumbs: bool = False
    points_per_side: int = 32
    min_predicted_iou: float = 0.88
    min_stability: float = 0.95


#: What holds where a model says nothing else; the limits are Segment Anything's.
USUAL_HABITS = Habits()
#: Of models as `training.promptable` makes them; limits were chosen on training images.
COMPACT_HABITS = Habits(
    fills_boxes=True,
    leaves_crumbs=True,
    points_per_side=16,
    min_predicted_iou=0.6,
    min_stability=0.6,
)


@runtime_checkable
class PromptSegmenter(Protocol):
    """A loaded promptable model. Pure: it holds no picture, only weights."""

    @property
    def input_size(self) -> int:
        """Longest side (px) that pictures are resized to, up or down; also the usual tile."""
        ...

    @property
    def mask_size(self) -> int:
        """Side of `Candidates.logits` and `Prompts.logits`, px."""
        ...

    @property
    def habits(self) -> Habits:
        """How it takes pictures and prompts."""
        ...

    @property
    def diameter(self) -> float | None:
        """Median object diameter (px) that the model was trained on; None if it has none."""
        ...

    @property
    def device(self) -> str:
        """Where it computes, for people."""
        ...

    @property
    def batch_size(self) -> int:
        """Number of prompts that the device does well with at a time."""
        ...

    def encode(self, pictures: Sequence[RGB]) -> list[Embedding]:
        """Encode pictures, (H, W, 3) float32 in [0, 1] each.

        Raises
        ------
        DeviceMemoryError
            If the device has not enough memory.
        """
        ...

    def decode(
        self,
        embedding: Embedding,
        prompts: Prompts,
        *,
        multimask: bool = True,
        min_predicted_iou: float | None = None,
        min_stability: float | None = None,
        keep_logits: bool = False,
    ) -> Candidates:
        """Answer prompts with masks.

        Parameters
        ----------
        embedding : Embedding
            From this model's `encode`.
        prompts : Prompts
        multimask : bool
            Three candidates a prompt (outputs 1 to 3), for one that is ambiguous such as a
            single point; else one (output 0).
        min_predicted_iou, min_stability : float, optional
            Leave out candidates at or below the first, or below the second, as early as
            that saves work.
        keep_logits : bool
            Fill `Candidates.logits`.

        Raises
        ------
        InputError
            If the embedding is of another model.
        DeviceMemoryError
            If the device has not enough memory.
        """
        ...
