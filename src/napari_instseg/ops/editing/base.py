"""What every edit has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ...checked import Check, Checked, is_whole
from ...segmenter import InputError
from .scene import Box, Region, Scene


@dataclass(frozen=True, slots=True)
class Edit(Checked):
    """A correction: what is asked for, as in the log, and what it makes of a part of the image."""

    #: Its name in the log.
    NAME: ClassVar[str] = ""
    #: Whether a pixel's new label follows from those within `reach` of it. If not, a part has
    #: whole objects.
    LOCAL: ClassVar[bool] = True
    UNKNOWN: ClassVar[str] = "unknown parameters {unknown}; expected some of {in_order}"

    def resolved(self, scene: Scene) -> Self:
        """Check it against the objects that there are, and put into words what follows from them.

        Raises
        ------
        InputError
            If it asks for what there is not.
        """
        raise NotImplementedError

    def targets(self, scene: Scene) -> tuple[int, ...]:
        """Numbers of the objects that it may change, in the order in which it looks at them."""
        raise NotImplementedError

    def box(self, scene: Scene) -> Box | None:
        """Where it changes pixels whatever objects lie there; None: where its targets are."""
        return None

    def reach(self, scene: Scene) -> tuple[int, ...]:
        """How many pixels beyond its targets it may change some, along each axis."""
        return (0,) * len(scene.shape)

    def change(self, region: Region, ids: tuple[int, ...]) -> NDArray[np.int32]:
        """Return the labels of a region after it.

        Parameters
        ----------
        region : Region
        ids : tuple of int
            Its targets that lie in the region.

        Raises
        ------
        InputError
            If it cannot be done.
        """
        return region.labels

    def parent(self) -> int | None:
        """Object whose row new objects inherit; None if they are from nowhere."""
        return None

    def new_category(self) -> int:
        """Category id of new objects that are from nowhere."""
        return 0


@dataclass(frozen=True, slots=True)
class OfObjects(Edit):
    """An edit of some objects, or of all.

    Parameters
    ----------
    ids : tuple of int, optional
        Their numbers; None is all.
    """

    ids: tuple[int, ...] | None = None
    CHECKS: ClassVar[tuple[Check, ...]] = (
        ("ids", lambda e: e.ids is None or are_ids(e.ids), "numbers of objects"),
    )

    def resolved(self, scene: Scene) -> Self:
        """See `Edit.resolved`."""
        scene.known(self.ids)
        return self

    def targets(self, scene: Scene) -> tuple[int, ...]:
        """See `Edit.targets`."""
        return scene.known(self.ids)


def are_ids(values: Any) -> bool:
    """Whether they are different numbers of objects."""
    return all(is_whole(value, 1) for value in values) and len(set(values)) == len(values)


def is_row(values: Any, length: int | None = None) -> bool:
    """Whether they are finite numbers, so many of them."""
    good = bool(np.isfinite(np.asarray(values, np.float64)).all())
    return good and (length is None or len(values) == length)


def made(kind: type[Edit], parameters: Mapping[str, Any]) -> Edit:
    """Make an edit of its parameters.

    Raises
    ------
    InputError
        If one is missing, unknown, or not as expected.
    """
    try:
        return kind.from_json(parameters)
    except InputError as error:
        raise InputError(f"{kind.NAME}: {error}") from error
    except TypeError as error:
        # Of a dataclass that was not given all it needs.
        wanted = ", ".join(field.name for field in fields(kind))
        raise InputError(f"{kind.NAME}: expected {wanted}, got {sorted(parameters)}") from error
