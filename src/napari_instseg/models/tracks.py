"""What a model that follows an object through planes must offer; see `promptable`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..instances import Mask
from ..promptable import Embedding


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """An object on one more plane.

    Parameters
    ----------
    mask : Mask
        In px of the picture; (0, 0) in size if it is not there.
    predicted_iou : float
        What the model thinks of the mask; about [0, 1].
    presence : float
        Whether the object is there at all, in [0, 1]; below 0.5 the mask is empty.
    """

    mask: Mask
    predicted_iou: float
    presence: float


class Track(Protocol):
    """The memory of one object; the pictures show the same region of each plane."""

    def add(self, index: int, embedding: Embedding, mask: Mask) -> None:
        """Remember a mask that is known.

        Parameters
        ----------
        index : int
            Of the plane.
        embedding : Embedding
            Of its picture, from the model that started the track.
        mask : Mask
            In px of the picture, with at least one pixel.

        Raises
        ------
        InputError
            If the embedding is of another model or shape, or the mask is empty.
        DeviceMemoryError
            If the device has not enough memory.
        """
        ...

    def step(self, index: int, embedding: Embedding, *, reverse: bool = False) -> Tracked:
        """Follow the object onto a plane, and remember what was found.

        Parameters
        ----------
        index : int
            Of the plane; any, but the nearer to those remembered the better.
        embedding : Embedding
            See `add`.
        reverse : bool
            Whether planes are followed downwards.

        Raises
        ------
        InputError
            As `add`; or if nothing was added before, or a mask was added on this plane.
        DeviceMemoryError
            If the device has not enough memory.
        """
        ...


@runtime_checkable
class VideoPrompter(Protocol):
    """A promptable model that can follow an object through planes."""

    def start_track(self, length: int | None = None) -> Track:
        """Begin with an empty memory.

        Parameters
        ----------
        length : int, optional
            Number of planes of the stack; None for many.
        """
        ...
