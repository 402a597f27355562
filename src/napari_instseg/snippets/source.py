"""Where the image of lines to be copied is to be had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .text import literal, number


@dataclass(frozen=True, slots=True)
class Source:
    """Where an image is to be had.

    Parameters
    ----------
    path : Path, optional
        Its file, if that has the same pixels.
    layer : str
        Name of the layer in the viewer.
    axes : str, optional
        Where they are others than those that the file, or the layer, says.
    spacing : mapping of str to float
        µm per pixel by axis letter, where the file does not say the same; empty for unknown ones.
        None: as the file, or the layer, says.
    level : int, optional
        Of a multiscale layer, if it is another than would be taken.
    """

    path: Path | None = None
    layer: str = ""
    axes: str | None = None
    spacing: Mapping[str, float] | None = None
    level: int | None = None

    @property
    def lines(self) -> str:
        """Python that comes before, for an image that is in no file."""
        if self.path is not None:
            return ""
        return f"# The image is in no file: run this in napari's console.\nimage = {self.code}\n"

    @property
    def argument(self) -> str:
        """The image as an argument."""
        return "image" if self.path is None else literal(self.path)

    @property
    def code(self) -> str:
        """The layer, or one level of it."""
        layer = f"viewer.layers[{literal(self.layer)}]"
        return layer if self.level is None else f"{layer}.data[{self.level}]"

    @property
    def options(self) -> dict[str, Any]:
        """What functions take to read it."""
        found: dict[str, Any] = {} if self.axes is None else {"axes": self.axes}
        return found if self.spacing is None else {**found, "spacing": dict(self.spacing)}

    @property
    def word(self) -> str:
        """The file as an argument of a command."""
        return "image.tif" if self.path is None else str(self.path)

    @property
    def remarks(self) -> list[str]:
        """What is to be done before a command, and what it cannot be told."""
        found = []
        if self.path is None:
            found.append(
                f"viewer.layers[{literal(self.layer)}] is in no file: save it as image.tif first "
                "(File > Save Selected Layers)"
            )
        sizes = self.spacing or {}
        if self.path is not None and self.spacing is not None and not sizes:
            found.append("without pixel sizes: the command takes the file's pixel size")
        if sizes.get("Y") != sizes.get("X"):
            found.append("pixels that are not square: the command takes one size for both")
        return found

    @property
    def words(self) -> list[str]:
        """Options of a command."""
        found = [] if self.axes is None else ["--axes", self.axes]
        sizes = self.spacing or {}
        if "Y" in sizes:
            found += ["--pixel-size", number(sizes["Y"])]
        return [*found, "--z-step", number(sizes["Z"])] if "Z" in sizes else found
