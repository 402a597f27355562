"""Tracks out in the format of the Cell Tracking Challenge: masks of frames, and who is whose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..segmenter import InputError
from .atomic import replacing_folder

#: Names of a frame's mask and of the list of tracks, in results and in truth.
RESULT, TRUTH = ("mask", "res_track.txt"), ("man_track", "man_track.txt")
#: Tracks that there can be: masks have 16 bits.
MOST = 65535


def check_ctc(axes: str) -> None:
    """Check that a label image is one time-lapse, in 2-D or 3-D.

    Raises
    ------
    InputError
        If it has other axes.
    """
    if set(axes) - {"Z"} != {*"TYX"}:
        raise InputError(
            f"the format of the Cell Tracking Challenge holds axes TYX or TZYX, got {axes}: "
            "segment one time-lapse at a time, or write the tracks as csv"
        )


def write_ctc(
    path: Path,
    labels: NDArray[np.integer[Any]],
    axes: str,
    parents: Mapping[int, int],
    names: tuple[str, str] = RESULT,
) -> Path:
    """Write tracks as masks of frames and a list of who begins when and comes from whom.

    Parameters
    ----------
    path : Path
        A folder; replaced if it exists, whole or not at all.
    labels : integer array
        One number for each track, 0 is nothing.
    axes : str
        One letter a dimension: T, Y, X, and Z if there is one.
    parents : mapping of int to int
        Number of the track that a track comes from, where there is one.
    names : (str, str)
        `RESULT` or `TRUTH`.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    InputError
        If the axes are others, or there are more than `MOST` tracks.

    Notes
    -----
    ``mask000.tif``, ... (uint16, compressed), and in ``res_track.txt`` a line ``L B E P`` for
    each track: its label, first and last frame from 0, and parent or 0. In this format a track
    is there in all frames from its first to its last: one with a gap becomes two, the later one
    with a new number and the earlier one as its parent.

    References
    ----------
    Ulman et al., "An objective comparison of cell-tracking algorithms", Nature Methods 14, 2017;
    celltrackingchallenge.net, "Naming and file content conventions".
    """
    check_ctc(axes)
    labels = labels.transpose([axes.index(a) for a in "TZYX" if a in axes])
    frames = [np.setdiff1d(np.unique(frame), 0) for frame in labels]
    numbers, lines = _whole_tracks(frames, parents)
    if len(lines) > MOST:
        raise InputError(
            f"the format of the Cell Tracking Challenge holds {MOST} tracks, got {len(lines)}: "
            "write the tracks as csv"
        )
    prefix, table = names
    digits = max(3, len(str(len(labels) - 1)))
    with replacing_folder(path) as partial:
        partial.mkdir()
        for t, frame in enumerate(labels):
            lookup = np.zeros(int(frames[t].max(initial=0)) + 1, np.uint16)
            lookup[frames[t]] = numbers[t]
            name = f"{prefix}{t:0{digits}d}.tif"
            tifffile.imwrite(partial / name, lookup[frame], compression="zlib")
        text = "".join(f"{' '.join(map(str, line))}\n" for line in lines)
        (partial / table).write_text(text, encoding="ascii", newline="\n")
    return path


def _whole_tracks(
    frames: list[NDArray[Any]], parents: Mapping[int, int]
) -> tuple[list[list[int]], list[tuple[int, int, int, int]]]:
    """Cut tracks at gaps: each frame's numbers, and a line (L, B, E, P) for each track."""
    last = int(max((frame.max(initial=0) for frame in frames), default=0))
    # Of each track: the number that it has now, since when, until when, and its parent.
    current: dict[int, list[int]] = {}
    done: list[tuple[int, int, int, int]] = []
    numbers: list[list[int]] = []
    for t, frame in enumerate(frames):
        for track in map(int, frame):
            known = current.get(track)
            if known is None:
                mother = current.get(parents.get(track, 0))
                current[track] = [track, t, t, mother[0] if mother else 0]
            elif known[2] < t - 1:
                last += 1
                done.append((known[0], known[1], known[2], known[3]))
                current[track] = [last, t, t, known[0]]
            else:
                known[2] = t
        numbers.append([current[int(track)][0] for track in frame])
    done += [(a, b, c, d) for a, b, c, d in current.values()]
    return numbers, sorted(done)
