"""How to segment: every choice that changes the result, frozen, to and from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from .segmenter import InputError

OUTPUTS = ("instances", "semantic", "panoptic")
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices of a run.

    Parameters
    ----------
    model : str
        A registered name, or the path of a weights file.
    outputs : tuple of str
        Of "instances", "semantic" and "panoptic".
    score_threshold : float
        Objects below it are not shown, in [0, 1]; all above the model's floor stay in
        `Segmentation.raw`.
    channels : tuple of int, optional
        Channels to use, by index; None takes all.
    colors : tuple of (r, g, b), optional
        A colour in [0, 1] for each used channel; None chooses.
    percentiles : (float, float)
        Percentages of pixels at or below the values shown as black and as white.
    limits : tuple of (low, high), optional
        Fixed limits for each used channel (or one for all) instead of percentiles, in the
        image's units.
    invert : bool
        Swap dark and light first.
    diameter : float or "auto", optional
        Typical object diameter in the image; None ("native") leaves the pixels as they are,
        "auto" measures it with a first pass.
    diameter_unit : {"px", "um"}
        µm needs an image with a known pixel size.
    tile_size, overlap : int
        In px of the (rescaled) plane.
    batch_size : int
        Tiles at a time; 0 chooses by device.
    device : {"auto", "cpu", "cuda", "mps"} or a torch device
        "auto" takes CUDA, then MPS, then CPU.

    Raises
    ------
    InputError
        If a value is out of its range; the message names the field.

    Examples
    --------
    >>> Settings.from_json(Settings(diameter=30.0).to_json()).diameter
    30.0
    """

    model: str = "nuclei"
    outputs: tuple[str, ...] = OUTPUTS
    score_threshold: float = 0.5
    channels: tuple[int, ...] | None = None
    colors: tuple[tuple[float, float, float], ...] | None = None
    percentiles: tuple[float, float] = (0.5, 99.8)
    limits: tuple[tuple[float, float], ...] | None = None
    invert: bool = False
    diameter: float | str | None = None
    diameter_unit: str = "px"
    tile_size: int = 1024
    overlap: int = 128
    batch_size: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        low, high = self.percentiles
        size = self.diameter
        checks = (
            (
                "outputs",
                set(self.outputs) <= set(OUTPUTS) and bool(self.outputs),
                f"some of {OUTPUTS}",
            ),
            ("score_threshold", 0 <= self.score_threshold <= 1, "a number in [0, 1]"),
            ("percentiles", 0 <= low < high <= 100, "0 <= low < high <= 100"),
            ("limits", all(a < b for a, b in self.limits or ()), "low < high for each channel"),
            ("channels", all(c >= 0 for c in self.channels or ()), "channel numbers from 0"),
            (
                "diameter",
                size in (None, "auto") or (not isinstance(size, str) and size > 0),
                "a number above 0, 'auto', or None for native pixels",
            ),
            ("diameter_unit", self.diameter_unit in ("px", "um"), "'px' or 'um'"),
            ("tile_size", self.tile_size >= 64, "at least 64 px"),
            ("overlap", 0 <= self.overlap <= self.tile_size // 2, "0 to half of tile_size"),
            ("batch_size", self.batch_size >= 0, "0 (automatic) or more"),
        )
        for name, good, expected in checks:
            if not good:
                raise InputError(f"{name}: expected {expected}, got {getattr(self, name)!r}")

    def to_json(self) -> dict[str, Any]:
        """Return values that `json` can write."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Settings:
        """Rebuild from `to_json`'s values, after a round trip through JSON.

        Raises
        ------
        InputError
            If there is a field that this version does not know, or a bad value.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise InputError(
                f"settings: unknown fields {unknown}; expected some of {sorted(known)}"
            )
        try:
            return cls(**{name: _tuples(value) for name, value in values.items()})
        except TypeError as error:
            raise InputError(f"settings: {error}") from error

    def replace(self, **changes: Any) -> Settings:
        """Return a copy with some fields changed."""
        return replace(self, **changes)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, (list, tuple)) else value
