"""An image as a promptable model looks at it: planes, levels, tiles, pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..instances import Mask
from ..ops.axes import Image
from ..ops.intensity import IntensityMapping, map_intensity, used_channels
from ..ops.scaling import Resampling
from ..ops.tiling import Tile
from ..segmenter import RGB, InputError
from ..settings import Settings
from . import geometry
from .limits import steady
from .pictures import Pictures
from .views import Pyramid, Region, View


class ImageViews:
    """The views of an image.

    Parameters
    ----------
    image : Image
        Read thinly, to find its intensities.
    settings : Settings
    zoom : float
        By how much planes are resized first.
    mapping : IntensityMapping, optional
        If it is known already.
    """

    def __init__(
        self,
        image: Image,
        settings: Settings,
        zoom: float = 1.0,
        mapping: IntensityMapping | None = None,
    ) -> None:
        self.image, self.settings = image, settings
        self.mapping = mapping or steady(map_intensity(image, settings), settings)
        resampling = Resampling.by(self.plane_shape, zoom)
        self.pyramid = Pyramid(resampling, settings.tile_size, settings.overlap)
        channels = used_channels(image, settings)
        self.pictures = Pictures(image, self.mapping, channels, self.pyramid)

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width of a plane, px."""
        height, width = self.image.label_shape[-2:]
        return height, width

    @property
    def planes(self) -> list[tuple[int, ...]]:
        """Index of every plane, in C order."""
        return self.image.planes()

    def plane(self, plane: int | Sequence[int] | None) -> tuple[int, ...]:
        """Check a plane's index; see `segment`.

        Raises
        ------
        InputError
            If there is no such plane.
        """
        index = (plane,) if isinstance(plane, int | np.integer) else tuple(plane or ())
        shape, axes = self.image.plane_shape, self.image.plane_axes
        inside = len(index) == len(shape) and all(
            0 <= int(i) < n for i, n in zip(index, shape, strict=True)
        )
        if not inside:
            raise InputError(
                f"plane: expected an index along {', '.join(axes) or 'no axis'} within {shape}, "
                f"got {plane}"
            )
        return tuple(int(i) for i in index)

    @property
    def levels(self) -> int:
        """Number of levels, each half as large as the one before; the last is a single tile."""
        return self.pyramid.levels

    def views(
        self, plane: int | Sequence[int] | None = None, level: int | None = 0
    ) -> tuple[View, ...]:
        """All views of a plane at one level, row by row; of all levels where that is None."""
        where = self.plane(plane)
        chosen = range(self.levels) if level is None else (level,)
        return tuple(view for one in chosen for view in self.pyramid.views(where, one))

    def view_for(self, plane: int | Sequence[int] | None, region: Region) -> View:
        """Choose the finest view that shows a region of a plane and its surroundings."""
        return self.pyramid.view_for(self.plane(plane), region)

    def neighbours(self, view: View) -> tuple[View, ...]:
        """The views around one at its level, nearest first."""
        return tuple(self.pyramid.neighbours(view))

    def region(self, view: View) -> Tile:
        """The part of the plane that a view shows, px."""
        return self.pyramid.region(view)

    def picture(self, view: View) -> RGB:
        """What the model sees: (H, W, 3) float32 in [0, 1]."""
        return self.pictures.picture(view)

    def to_picture(self, view: View, points: ArrayLike) -> NDArray[np.float64]:
        """Move (..., 2) points from px of the plane to px of a view's picture."""
        return self.pyramid.to_picture(view, points)

    def to_plane(self, view: View, masks: Sequence[Mask]) -> list[Mask]:
        """Move masks from px of a view's picture to px of the plane; vanishing ones stay, empty."""
        return geometry.to_plane(self.pyramid, view, masks)
