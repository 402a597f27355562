"""What is seen of prompts before they are accepted: one layer that comes and goes with the dock.

It is a Labels layer with dots and lines drawn into it, not a Points or Shapes layer: where one of
those is removed, napari may read freed memory when it draws next and take the process with it
(vispy leaves their vertex attributes enabled; napari issue 6472). Labels need no more of these
than every image does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import napari.layers
import napari.viewer
import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from ..label_colors import direct_colors
from ..links import add_temporary
from .drafts import Point
from .drawing import COLORS, MASK_ALPHA, Raster, Shade, draw

PREVIEW = "prompt preview"
#: Most pixels of the layer for a pixel of the image, along a side.
FINEST = 8
#: More pixels than this are drawn coarser.
MOST_PIXELS = 4_000_000
#: Sides of the layer are multiples of this, px of the image, so that it rarely changes in size.
GRAIN = 32
#: Around what is drawn, px of the canvas.
MARGIN = 8


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What is to be seen on a plane, in px of the plane.

    Parameters
    ----------
    plane : tuple of int
    shades : tuple of Shade
        Masks.
    dots : tuple of ((row, col), label)
        Clicks.
    lines : tuple of lines
        Outlines, each a sequence of (row, col).
    """

    plane: tuple[int, ...]
    shades: tuple[Shade, ...] = ()
    dots: tuple[tuple[Point, int], ...] = ()
    lines: tuple[tuple[Point, ...], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see."""
        return not (self.shades or self.dots or self.lines)

    def same(self, other: Scene) -> bool:
        """Whether another one looks the same."""
        return (
            self.plane == other.plane
            and self.dots == other.dots
            and self.lines == other.lines
            and len(self.shades) == len(other.shades)
            and all(
                a.mask is b.mask and a.hover == b.hover
                for a, b in zip(self.shades, other.shades, strict=True)
            )
        )

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """First and last corner of all that is in it."""
        corners = [np.array([[s.start, s.stop] for s in one.mask.slices]).T for one in self.shades]
        corners += [np.array(line, float) for line in self.lines]
        corners += [np.array([point]) for point, _ in self.dots]
        spots = np.concatenate(corners)
        return spots.min(axis=0), spots.max(axis=0)


class Under(Protocol):
    """What is drawn over: a plane, and how pixels over it become a layer; see `Ground`."""

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width of a plane, px."""
        ...

    def pixel_on_screen(self) -> float:
        """Side of a pixel of the plane on the canvas, px of the canvas."""
        ...

    def arrange(self, crop: NDArray[Any]) -> NDArray[Any]:
        """View (H, W) pixels with the dimensions of the layer."""
        ...

    def crop_transforms(
        self, plane: tuple[int, ...], row: int, col: int, fineness: int = 1
    ) -> dict[str, Any]:
        """Scale, translate, ... of a layer that begins at a pixel of a plane."""
        ...


class Overlay:
    """Shows masks and prompts over an image.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    ground : Under
        `Ground`, or alike.
    name : str
        Of the layer.
    """

    def __init__(self, viewer: napari.viewer.Viewer, ground: Under, name: str = PREVIEW) -> None:
        self._viewer, self._ground, self._name = viewer, ground, name
        self._layer: napari.layers.Labels | None = None
        self._raster: Raster | None = None
        self._plane: tuple[int, ...] = ()
        self._scene = Scene(())
        #: Side of a pixel on the canvas when it was drawn.
        self._size = 0.0
        self._color = (1.0, 0.6, 0.1)

    @property
    def layer(self) -> napari.layers.Labels | None:
        """The layer, if it is there."""
        return self._layer if self._layer in self._viewer.layers else None

    def recolor(self, color: tuple[float, float, float]) -> None:
        """Show masks in another colour."""
        if color != self._color:
            self._color = color
            if self.layer is not None:
                self.layer.colormap = self._colormap()

    def show(self, scene: Scene) -> None:
        """Show this instead of what was there."""
        size = self._ground.pixel_on_screen()
        layer = self.layer
        if scene.same(self._scene) and size == self._size and (layer is not None or scene.is_empty):
            return
        self._scene, self._size = scene, size
        if not scene.is_empty:
            raster = self._raster_for(scene, size)
            draw(raster, size, scene.shades, scene.dots, scene.lines)
        elif layer is not None and self._raster is not None:
            self._raster.pixels[:] = 0
        if self.layer is not None:
            self.layer.refresh(extent=False, thumbnail=False)

    def remove(self) -> None:
        """Take the layer away."""
        if self.layer is not None:
            self._viewer.layers.remove(self.layer)
        self._layer, self._raster, self._scene = None, None, Scene(())

    def _raster_for(self, scene: Scene, size: float) -> Raster:
        """Return pixels that a scene fits into, and that are not much larger."""
        margin = MARGIN / size
        low, high = scene.bounds()
        low, high = np.floor(low - margin), np.ceil(high + margin)
        fineness = int(np.clip(np.ceil(size), 1, FINEST))
        while fineness > 1 and np.prod(high - low) * fineness**2 > MOST_PIXELS:
            fineness -= 1
        raster = self._raster
        if self.layer is not None and raster is not None and self._plane == scene.plane:
            inside = raster.holds(low, high, self._ground.plane_shape)
            if inside and raster.fineness == fineness and not raster.is_too_large(high - low):
                return raster
        begin = np.maximum(np.floor(low / GRAIN) * GRAIN, 0).astype(int)
        end = np.minimum(np.ceil(high / GRAIN) * GRAIN, self._ground.plane_shape).astype(int)
        raster = Raster.empty((int(begin[0]), int(begin[1])), (end - begin).tolist(), fineness)
        self._raster, self._plane = raster, scene.plane
        self._place(raster, scene.plane)
        return raster

    def _place(self, raster: Raster, plane: tuple[int, ...]) -> None:
        """Give the layer other pixels; add it if it is not there."""
        data = self._ground.arrange(raster.pixels)
        transforms = self._ground.crop_transforms(plane, *raster.origin, raster.fineness)
        layer = self.layer
        if layer is not None:
            layer.data = data
            layer.scale, layer.translate = transforms["scale"], transforms["translate"]
            return
        self._layer = layer = napari.layers.Labels(
            data,
            name=self._name,
            colormap=self._colormap(),
            opacity=1,
            **transforms,
        )
        add_temporary(self._viewer, layer)

    def _colormap(self) -> DirectLabelColormap:
        masks = {value: (*self._color, alpha) for value, alpha in MASK_ALPHA.items()}
        return direct_colors((masks | COLORS).items())
