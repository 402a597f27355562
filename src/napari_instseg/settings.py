"""How to segment: every choice that changes the result, frozen, to and from JSON."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from .checked import Check, Checked, is_share, is_whole

OUTPUTS = ("instances", "semantic", "panoptic")
#: How label images are written.
FORMATS = TIFF, ZARR = ("tiff", "zarr")
#: How tracks are written.
TRACK_FORMATS = CSV, CTC, GEFF = ("csv", "ctc", "geff")
PRECISIONS = ("auto", "float32", "half")
AUTO, AS_TRAINED = "auto", "as trained"
#: What decides which model is loaded, and how: two runs that agree in these share it.
MODEL_FIELDS = ("model", "weights", "categories", "device", "precision")
_FINITE = (-sys.float_info.max, sys.float_info.max)


@dataclass(frozen=True, slots=True)
class Settings(Checked):
    """Choices of a run.

    Parameters
    ----------
    model : str
        A registered name, or the path of a weights file or of a Detectron2 config.
    weights, categories : str, optional
        Paths of the checkpoint, and of a file with the categories' names, that go with a
        Detectron2 config.
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
    diameter : float, "auto" or "as trained", optional
        Typical object diameter in the image, which is resized to the size that the model
        knows; None ("native") leaves the pixels as they are, "auto" measures the diameter with
        a first pass, "as trained" resizes each tile to the picture size of the model's
        training, whatever the objects' size (Detectron2).
    diameter_unit : {"px", "um"}
        µm needs an image with a known pixel size.
    link : bool
        Link the planes of a Z axis: each object through Z has one number, and one row in the
        table. Planes of other axes (T, ...) stay apart, and images without Z are as without.
    link_overlap : float
        Masks of neighbouring planes are linked from this IoU on, in (0, 1], or where one lies in
        the other; less is asked where planes lie far apart, see `ops.linking.LinkRules`.
    link_waists : bool
        Cut linked objects in two where their masks become smaller from both sides, as where one
        nucleus lies on another; False for tubes that are narrow in places.
    link_gap : int
        Planes in a row that an object may be missing in, 0 or more; not farther than it is wide.
    min_planes : int
        Linked objects that are found in fewer planes are left out, 1 or more.
    link_fill : bool
        Fill holes in linked objects' masks, and planes that they are missing in.
    ortho : bool
        Segment a z-stack in planes along Y and along X, too, and keep what at least two of the
        three directions agree on; needs ``link``, and about equal pixel sizes along all axes.
    track : bool
        Track objects along a T axis: each one has one number through all frames, and one row in
        the table; with ``link``, in 3-D. Images without T are as without.
    track_distance : float, optional
        How far an object may go from frame to frame; None is the width of a typical one.
    track_distance_unit : {"px", "um"}
        µm needs an image with a known pixel size.
    track_overlap : float
        How much overlap counts beside distance, in [0, 1]; see `ops.tracking.TrackRules`.
    track_gap : int
        Frames in a row that an object may be missing in, 0 or more.
    track_split : bool
        Whether objects divide: then a track ends, and two begin that know their parent.
    min_frames : int
        Tracks with objects in fewer frames are left out, 1 or more.
    tile_size, overlap : int
        In px of the (rescaled) plane; tiles are rounded down to a multiple of 32 px.
    batch_size : int
        Tiles at a time; 0 chooses by device.
    device : {"auto", "cpu", "cuda", "mps"} or a torch device
        "auto" takes CUDA, then MPS, then CPU.
    precision : {"auto", "float32", "half"}
        Number format of the network: "auto" takes half precision (autocast, float16) on NVIDIA
        GPUs with tensor cores, "half" on any device (bfloat16 on CPUs).

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
    weights: str | None = None
    categories: str | None = None
    outputs: tuple[str, ...] = OUTPUTS
    score_threshold: float = 0.5
    channels: tuple[int, ...] | None = None
    colors: tuple[tuple[float, float, float], ...] | None = None
    percentiles: tuple[float, float] = (0.5, 99.8)
    limits: tuple[tuple[float, float], ...] | None = None
    invert: bool = False
    diameter: float | str | None = None
    diameter_unit: str = "px"
    link: bool = False
    link_overlap: float = 0.3
    link_waists: bool = True
    link_gap: int = 1
    min_planes: int = 1
    link_fill: bool = False
    ortho: bool = False
    track: bool = False
    track_distance: float | None = None
    track_distance_unit: str = "px"
    track_overlap: float = 0.5
    track_gap: int = 1
    track_split: bool = False
    min_frames: int = 1
    tile_size: int = 1024
    overlap: int = 128
    batch_size: int = 0
    device: str = "auto"
    precision: str = "auto"

    UNKNOWN: ClassVar[str] = "settings: unknown fields {unknown}; expected some of {known}"
    CHECKS: ClassVar[tuple[Check, ...]] = (
        (
            "outputs",
            lambda s: bool(s.outputs) and set(s.outputs) <= {*OUTPUTS},
            f"some of {OUTPUTS}",
        ),
        ("score_threshold", lambda s: is_share(s.score_threshold), "a number in [0, 1]"),
        (
            "channels",
            lambda s: s.channels is None or _all(s.channels, lambda c: is_whole(c, 0)),
            "channel numbers from 0, such as (0, 2)",
        ),
        (
            "colors",
            lambda s: s.colors is None or _all(s.colors, _is_color),
            "(red, green, blue) in [0, 1] for each channel",
        ),
        (
            "percentiles",
            lambda s: _is_range(s.percentiles, 0, 100),
            "0 <= low < high <= 100",
        ),
        (
            "limits",
            lambda s: s.limits is None or _all(s.limits, lambda p: _is_range(p, *_FINITE)),
            "low < high for each channel, such as ((0, 4095),)",
        ),
        (
            "diameter",
            lambda s: s.diameter in (None, AUTO, AS_TRAINED) or _is_size(s.diameter),
            "a number above 0, 'auto', 'as trained', or None for native pixels",
        ),
        ("diameter_unit", lambda s: s.diameter_unit in ("px", "um"), "'px' or 'um'"),
        ("link", lambda s: isinstance(s.link, bool), "True or False"),
        ("link_overlap", lambda s: 0 < s.link_overlap <= 1, "an IoU above 0, at most 1"),
        ("link_waists", lambda s: isinstance(s.link_waists, bool), "True or False"),
        ("link_gap", lambda s: is_whole(s.link_gap, 0), "0 planes or more"),
        ("min_planes", lambda s: is_whole(s.min_planes, 1), "1 plane or more"),
        ("link_fill", lambda s: isinstance(s.link_fill, bool), "True or False"),
        ("ortho", lambda s: isinstance(s.ortho, bool), "True or False"),
        ("ortho", lambda s: s.link or not s.ortho, "link=True with it"),
        ("track", lambda s: isinstance(s.track, bool), "True or False"),
        (
            "track_distance",
            lambda s: s.track_distance is None or _is_size(s.track_distance),
            "a number above 0, or None for the width of a typical object",
        ),
        ("track_distance_unit", lambda s: s.track_distance_unit in ("px", "um"), "'px' or 'um'"),
        ("track_overlap", lambda s: is_share(s.track_overlap), "a number in [0, 1]"),
        ("track_gap", lambda s: is_whole(s.track_gap, 0), "0 frames or more"),
        ("track_split", lambda s: isinstance(s.track_split, bool), "True or False"),
        ("min_frames", lambda s: is_whole(s.min_frames, 1), "1 frame or more"),
        ("tile_size", lambda s: is_whole(s.tile_size, 64), "at least 64 px"),
        ("overlap", lambda s: is_whole(s.overlap, 0, s.tile_size // 2), "0 to half of tile_size"),
        ("precision", lambda s: s.precision in PRECISIONS, f"one of {PRECISIONS}"),
        ("batch_size", lambda s: is_whole(s.batch_size, 0), "0 (automatic) or more"),
    )

    @property
    def model_key(self) -> tuple[str | None, ...]:
        """What decides which model is loaded, and how."""
        return tuple(getattr(self, name) for name in MODEL_FIELDS)


def _is_size(value: Any) -> bool:
    return not isinstance(value, str) and 0 < value < math.inf


def _all(values: tuple[Any, ...], is_good: Callable[[Any], bool]) -> bool:
    return bool(values) and all(is_good(value) for value in values)


def _is_range(pair: tuple[float, float], lowest: float, highest: float) -> bool:
    low, high = pair
    return lowest <= low < high <= highest


def _is_color(color: tuple[float, ...]) -> bool:
    return len(color) == 3 and all(0 <= value <= 1 for value in color)
