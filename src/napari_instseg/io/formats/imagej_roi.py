"""ImageJ's regions of interest: a zip of ROIs that its ROI Manager opens and saves.

References
----------
ImageJ 1.54, ij.io.RoiEncoder and RoiDecoder (file format); ij.plugin.frame.RoiManager (zip:
the name of an entry is the name of the ROI); ij.gui.Roi.setPosition and setGroup.
"""

from __future__ import annotations

import json
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from roifile import ROI_TYPE, ImagejRoi

from ...label_set import OBJECT, LabelSet
from ...ops.outlines import Polygon
from ...segmenter import Category, InputError
from . import about as image_about
from .about import About
from .checks import check_size, share, whole
from .names import Names, plane_suffix
from .planes import categories_for
from .segments import Segment
from .shapes import Shape, outlined, paint

#: Positions that ImageJ knows.
AXES = "CZT"
#: Integer coordinates go this far; beyond, ROIs are paths with coordinates of 32-bit floats.
FARTHEST = 60_535
#: Groups are numbers of one byte.
MOST_GROUPS = 255
#: No ROI is larger, and no file: B unpacked.
LARGEST_ROI, LARGEST_FILE = 2**26, 2**30
#: Types that enclose something.
_AREAS = (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED, ROI_TYPE.RECT, ROI_TYPE.OVAL)
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, TypeError),
    *(IndexError, ArithmeticError, RuntimeError, AssertionError),
)
#: Corners of an ellipse.
_OVAL = 256


def write(path: Path, label_set: LabelSet) -> list[str]:
    """Write objects as a zip of ROIs.

    Parameters
    ----------
    path : Path
    label_set : LabelSet
        Axes beside Y and X: one, whatever it is, or some of Z, T and C.

    Returns
    -------
    list of str
        What the user should know.

    Raises
    ------
    InputError
        If ImageJ has no position for the axes, or the name is not that of a zip.

    Notes
    -----
    One ROI for each object, or stuff, and plane: a traced polygon along the edges of the pixels,
    so that ImageJ's mask of it has exactly the object's pixels; with holes or several parts, a
    composite. The category is its group, its colour (ImageJ shows that of the group), its name,
    and a property beside index and score. The image's shape is in the zip's comment, which
    ImageJ drops when it saves.
    """
    if path.suffix.lower() == ".roi":
        raise InputError("expected a name that ends in .zip: a .roi file holds one object")
    if len(label_set.axes) > 3 and not set(label_set.axes[:-2]) <= set(AXES):
        raise InputError(f"ImageJ knows axes {', '.join(AXES)}, got {label_set.axes}")
    categories, used = {c.id: c for c in categories_for(label_set)}, Names()
    header = json.dumps(image_about.to_json(label_set))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        if len(header) <= zipfile.ZIP_MAX_COMMENT:
            file.comment = header.encode("ascii")
        for plane, objects in outlined(label_set):
            suffix = plane_suffix(label_set.axes, label_set.plane_shape, plane)
            for found, polygons in objects:
                category = categories[found.category_id]
                name = f"{found.label:04d} {category.name}{suffix}"
                roi = _roi(polygons)
                _describe(roi, found, name, category)
                _place(roi, label_set.axes[:-2], plane)
                file.writestr(f"{used.of(name)}.roi", roi.tobytes())
    if max(categories) > MOST_GROUPS:
        return [f"categories with ids above {MOST_GROUPS} are of no group in ImageJ"]
    return []


def _roi(polygons: Sequence[Polygon]) -> ImagejRoi:
    """Outlines as a polygon, or as a path where one does not do."""
    corners = np.concatenate([ring for rings in polygons for ring in rings])[:, ::-1]
    left, top = corners.min(axis=0)
    right, bottom = corners.max(axis=0)
    roi = ImagejRoi(top=int(top), left=int(left), bottom=int(bottom), right=int(right), version=228)
    if len(polygons) == len(polygons[0]) == 1 and corners.max() <= FARTHEST:
        roi.roitype = ROI_TYPE.TRACED
        roi.integer_coordinates = (corners - (left, top)).astype(np.int32)
        roi.n_coordinates = len(corners)
        return roi
    path = np.concatenate([_path(ring) for rings in polygons for ring in rings])
    roi.roitype, roi.shape_roi_size, roi.multi_coordinates = ROI_TYPE.RECT, len(path), path
    return roi


def _path(ring: NDArray[np.int32]) -> NDArray[np.float32]:
    """Segments of java.awt.geom.PathIterator: move to 0, line to 1, close 4."""
    steps = np.column_stack([np.ones(len(ring)), ring[:, ::-1]]).astype(np.float32)
    steps[0, 0] = 0
    return np.append(steps.ravel(), np.float32(4))


def _describe(roi: ImagejRoi, found: Segment, name: str, category: Category) -> None:
    # The library counts signs, the format pairs of bytes: they differ beyond U+FFFF.
    roi.name = "".join(sign if sign <= "\uffff" else "\ufffd" for sign in name)
    roi.stroke_color = bytes([255, *(round(255 * part) for part in category.color)])
    roi.group = found.category_id if found.category_id <= MOST_GROUPS else 0
    known: dict[str, float] = {"index": found.label, "category_id": found.category_id}
    if not math.isnan(found.score):
        known["score"] = found.score
    if found.crowd:
        known["iscrowd"] = 1
    lines = [f"{key}: {value!r}" for key, value in known.items()]
    # Java takes a backslash for the beginning of an escape, as JSON does.
    roi.props = "\n".join([*lines, f"category: {json.dumps(category.name)}", ""])


def _place(roi: ImagejRoi, axes: str, plane: tuple[int, ...]) -> None:
    """Say where in the stack a ROI is; of the only axis, whatever it is, as number of the slice."""
    if len(plane) == 1:
        roi.position = plane[0] + 1
    for axis, i in zip(axes, plane, strict=True) if len(plane) > 1 else ():
        setattr(roi, f"{axis.lower()}_position", i + 1)


def knows(path: Path) -> bool:
    """Whether a zip, or a file, holds ROIs."""
    if path.suffix.lower() == ".roi":
        return True
    try:
        with zipfile.ZipFile(path) as file:
            ours = image_about.KEY.encode() in file.comment
            return ours or any(name.lower().endswith(".roi") for name in file.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def read(path: Path, *, shape: str | Sequence[int] | None = None) -> Iterator[LabelSet]:
    """Read the ROIs of a zip, or one ROI, that enclose something.

    Parameters
    ----------
    path : Path
    shape : str or sequence of int, optional
        Of the image, such as "512x512" or "30x512x512"; without, and where the file does not
        tell, it is as large as the ROIs need.

    Yields
    ------
    LabelSet
        Labels and scores that we wrote, else 1, 2, ... as ROIs come. The category is the one that
        we wrote, else the group ("group 3"). Column ``name`` has the ROIs' names. A ROI without a
        position is in all planes. Lines and points are left out.

    Raises
    ------
    InputError
        If it is damaged, too large, or has no ROI that encloses something, though others.
    """
    try:
        comment, data = _unpack(path)
        rois = [ImagejRoi.frombytes(one) for one in data]
        known = _known(comment)
        areas = [roi for roi in rois if roi.roitype in _AREAS]
        outlines = [replace(_about(roi), rings=_rings(roi)) for roi in areas]
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(f"expected ImageJ's ROIs, whole ({error})") from error
    if rois and not areas:
        raise InputError("expected ROIs that enclose something, got lines or points only")
    found = known or About(path.stem, _axes(areas) + "YX")
    if shape is not None:
        found = found.of_shape(shape)
    # Before planes are listed.
    check_size(found.shape)
    sizes = found.shape[:-2] or _sizes(areas, found.axes[:-2])
    shapes = (
        replace(outline, planes=[*_planes(roi, found.axes[:-2], sizes)])
        for roi, outline in zip(areas, outlines, strict=True)
    )
    yield paint(shapes, found, path.name)


def _unpack(path: Path) -> tuple[bytes, list[bytes]]:
    """Comment and ROIs of a zip; nothing is unpacked that says it is too large."""
    if path.suffix.lower() == ".roi":
        if path.stat().st_size > LARGEST_ROI:
            raise InputError(f"expected a ROI of at most {LARGEST_ROI} B")
        return b"", [path.read_bytes()]
    with zipfile.ZipFile(path) as file:
        entries = [info for info in file.infolist() if info.filename.lower().endswith(".roi")]
        sizes = [info.file_size for info in entries]
        if max(sizes, default=0) > LARGEST_ROI or sum(sizes) > LARGEST_FILE:
            raise InputError(
                f"expected ROIs of at most {LARGEST_ROI} B, {LARGEST_FILE} B together, got "
                f"{max(sizes)} and {sum(sizes)}"
            )
        return file.comment, [file.read(info) for info in entries]


def _known(comment: bytes) -> About | None:
    """What we wrote of the image; other comments say nothing."""
    if image_about.KEY.encode() not in comment:
        return None
    return image_about.from_json(json.loads(comment))


def _rings(roi: ImagejRoi) -> list[NDArray[np.float64]]:
    """Corners (row, col) of each of a ROI's outlines."""
    left, top, right, bottom = map(float, (roi.left, roi.top, roi.right, roi.bottom))
    if roi.subpixelrect:
        left, top = roi.xd, roi.yd
        right, bottom = left + roi.widthd, top + roi.heightd
    if roi.roitype == ROI_TYPE.OVAL:
        angle = np.arange(_OVAL) * (2 * np.pi / _OVAL)
        circle = np.column_stack([1 + np.sin(angle), 1 + np.cos(angle)]) / 2
        return [(top, left) + circle * (bottom - top, right - left)]
    if roi.roitype == ROI_TYPE.RECT and not roi.composite:
        return [np.array([(top, left), (top, right), (bottom, right), (bottom, left)], np.float64)]
    outlines = roi.coordinates(multi=True)
    return [np.asarray(ring, np.float64)[:, ::-1] for ring in outlines]


def _positions(roi: ImagejRoi) -> dict[str, int]:
    return {axis: int(getattr(roi, f"{axis.lower()}_position")) for axis in AXES}


def _axes(rois: Sequence[ImagejRoi]) -> str:
    """Axes along which ROIs lie in different planes; slices of a stack are taken for Z."""
    places = [_positions(roi) for roi in rois]
    axes = "".join(axis for axis in "TZC" if any(place[axis] > 1 for place in places))
    return axes or "Z" * any(roi.position > 1 for roi in rois)


def _place_in(roi: ImagejRoi, axes: str) -> list[int]:
    """Position along each axis, from 1; 0 without one."""
    places = _positions(roi)
    return [places.get(axis, 0) or (roi.position if len(axes) == 1 else 0) for axis in axes]


def _sizes(rois: Sequence[ImagejRoi], axes: str) -> tuple[int, ...]:
    """Planes along each axis, as many as ROIs tell of; InputError if too many."""
    places = [_place_in(roi, axes) for roi in rois]
    sizes = tuple(max(1, *along) for along in zip(*places, strict=True))
    check_size((*sizes, 1, 1))
    return sizes


def _planes(roi: ImagejRoi, axes: str, sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Planes that a ROI is in: one, or all along axes where it has no position."""
    spans = [
        range(place - 1, place) if place else range(size)
        for place, size in zip(_place_in(roi, axes), sizes, strict=True)
    ]
    yield from product(*spans)


def _about(roi: ImagejRoi) -> Shape:
    """What is known of a ROI's object."""
    lines = (line.partition(": ") for line in roi.props.splitlines())
    known = {key: value for key, _, value in lines}
    category = f"group {roi.group}" if roi.group else OBJECT.name
    return Shape(
        (),
        label=whole(int(known.get("index", 0)), "index"),
        category=_text(known["category"]) if "category" in known else category,
        score=share(float(known["score"]), "score") if "score" in known else float("nan"),
        crowd=known.get("iscrowd") == "1",
        more={"name": roi.name} if roi.name else {},
    )


def _text(value: str) -> str:
    """A text that we wrote as JSON; ImageJ may have taken away its escapes."""
    try:
        return str(json.loads(value))
    except ValueError:
        return value
