"""Which objects of frames are one: small cases by hand, and the assignment beside laptrack's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_instseg.ops.tracking import Objects, TrackRules, Tracks, track


def spots(*frames: list[tuple[float, float]], area: int = 100, kind: int = 0) -> Objects:
    """Objects at places (y, x), one list a frame."""
    frame = np.repeat(np.arange(len(frames)), [len(places) for places in frames])
    center = np.array([place for places in frames for place in places]).reshape(-1, 2)
    count = len(frame)
    return Objects(frame, np.full(count, kind), center, np.full(count, area))


def with_areas(objects: Objects, *areas: int) -> Objects:
    return Objects(objects.frame, objects.kind, objects.center, np.array(areas))


def apart(i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.int64]:
    """Nothing shares pixels."""
    return np.zeros(len(i), np.int64)


def tracks_of(objects: Objects, distance: float = 10, shared: Any = apart, **rules: Any) -> Tracks:
    return track(objects, shared, TrackRules(distance, **rules))


def test_the_nearest_are_linked_and_all_together_cost_the_least() -> None:
    # The second is nearer to where the first goes, but then the first would have nothing.
    objects = spots([(0, 0), (0, 6)], [(0, 5), (0, 12)])
    assert tracks_of(objects).track.tolist() == [0, 1, 0, 1]


def test_none_goes_farther_than_the_distance() -> None:
    assert tracks_of(spots([(0, 0)], [(0, 9.9)])).track.tolist() == [0, 0]
    assert tracks_of(spots([(0, 0)], [(0, 10)])).track.tolist() == [0, 1]


def test_other_kinds_are_others() -> None:
    objects = spots([(0, 0)], [(0, 1)])
    other = Objects(objects.frame, np.array([0, 1]), objects.center, objects.area)
    assert tracks_of(other).track.tolist() == [0, 1]


def test_overlap_decides_where_distance_would_not() -> None:
    """Two neighbours, one of which has its pixels; it is a little farther away."""
    objects = spots([(0, 0)], [(0, 4), (0, -5)])

    def shared(i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where(j == 2, 60, 0)

    assert tracks_of(objects, shared=shared).track.tolist() == [0, 1, 0]
    assert tracks_of(objects, shared=shared, overlap=0.0).track.tolist() == [0, 0, 1]


@pytest.mark.parametrize(("gap", "found"), [(0, [0, 1]), (1, [0, 1]), (2, [0, 0])])
def test_gaps_are_closed_up_to_their_length(gap: int, found: list[int]) -> None:
    assert tracks_of(spots([(0, 0)], [], [], [(0, 1)]), max_gap=gap).track.tolist() == found


def test_over_a_gap_an_object_may_go_as_far_as_one_that_wanders() -> None:
    reach = 10 * math.sqrt(2)
    assert tracks_of(spots([(0, 0)], [], [(0, reach - 0.01)])).track.tolist() == [0, 0]
    assert tracks_of(spots([(0, 0)], [], [(0, reach + 0.01)])).track.tolist() == [0, 1]


def test_a_gap_is_not_closed_where_the_object_is() -> None:
    """What goes on is not an end."""
    objects = spots([(0, 0)], [(0, 0)], [(0, 0), (0, 3)])
    assert tracks_of(objects).track.tolist() == [0, 0, 0, 1]


def division(*areas: int) -> Objects:
    """One object in two frames, then one on each side of it, then the same again."""
    objects = spots([(0, 0)], [(0, 0)], [(0, -4), (0, 4)], [(0, -6), (0, 6)])
    return with_areas(objects, *(areas or (100, 100, 50, 50, 60, 60)))


def test_a_division_ends_a_track_and_begins_two() -> None:
    found = tracks_of(division(), split=True)
    assert found.track.tolist() == [0, 0, 1, 2, 1, 2]
    assert found.parent.tolist() == [-1, 0, 0]
    # Unless it is asked for, one daughter goes on as the mother.
    alone = tracks_of(division())
    assert alone.track.tolist() == [0, 0, 0, 1, 0, 1]
    assert alone.parent.tolist() == [-1, -1]


@pytest.mark.parametrize(
    "areas",
    [(100, 100, 100, 100, 100, 100), (100, 100, 80, 30, 80, 30), (100, 100, 15, 15, 20, 20)],
    ids=["one came from elsewhere", "unlike", "too small"],
)
def test_what_is_not_like_daughters_is_none(areas: tuple[int, ...]) -> None:
    found = tracks_of(division(*areas), split=True)
    assert found.parent.tolist() == [-1, -1]


def test_a_gap_and_a_division_compete() -> None:
    """The second daughter could be what was lost a frame before, which lay where it lies."""
    objects = spots([(0, 0), (0, 4.5)], [(0, 0)], [(0, -4), (0, 4)])
    closer = with_areas(objects, 100, 50, 100, 50, 50)
    found = tracks_of(closer, split=True)
    # Cost of the gap 0.5 / 8 / 100 + 0.5, of the division 0.5: the division.
    assert found.parent.tolist() == [-1, -1, 0, 0]

    def shared(i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.where((i == 1) & (j == 4), 45, 0)

    found = tracks_of(closer, shared=shared, split=True)
    assert found.track.tolist() == [0, 1, 0, 0, 1]


def test_no_objects_no_tracks() -> None:
    for split in (False, True):
        found = tracks_of(spots([], []), split=split)
        assert len(found.track) == len(found.parent) == 0


@st.composite
def lapses(draw: st.DrawFn) -> Objects:
    # Uneven steps: no two distances are the same, so that no two answers are as good.
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    frames = [rng.uniform(0, 40, (draw(st.integers(0, 6)), 2)) for _ in range(4)]
    return spots(*(list(map(tuple, places)) for places in frames))


@given(lapses(), st.integers(0, 2), st.booleans())
def test_tracks_go_forward_one_object_a_frame(objects: Objects, gap: int, split: bool) -> None:
    found = tracks_of(objects, max_gap=gap, split=split)
    for number, parent in enumerate(found.parent.tolist()):
        frames = objects.frame[found.track == number]
        assert (np.diff(frames) >= 1).all()
        assert (np.diff(frames) <= gap + 1).all()
        if parent >= 0:
            assert objects.frame[found.track == parent].max() == frames.min() - 1
            assert np.count_nonzero(found.parent == parent) == 2


@given(lapses(), st.integers(0, 10_000))
def test_the_order_of_objects_does_not_matter(objects: Objects, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(objects.frame))
    mixed = Objects(
        objects.frame[order], objects.kind[order], objects.center[order], objects.area[order]
    )
    there, here = tracks_of(mixed).track, tracks_of(objects).track[order]
    np.testing.assert_array_equal(there[:, None] == there[None, :], here[:, None] == here[None, :])


@given(lapses(), st.integers(0, 2))
def test_links_are_those_of_laptrack(objects: Objects, gap: int) -> None:
    """The same costs, with no link at 1 in both steps: an independent reading of the paper."""
    laptrack = pytest.importorskip("laptrack")
    frames = [objects.center[objects.frame == t] for t in range(4)]
    # One that stays far away: its links cost nothing, and then no other link costs more in
    # LapTrack than what it is (the least of all is added to each, as in Jaqaman's matrix).
    far = np.array([[1e6, 1e6]])
    with_time = [
        np.column_stack([np.vstack([places, far]), np.full(len(places) + 1, float(t))])
        for t, places in enumerate(frames)
    ]

    def over_gaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float(((a - b)[:2] ** 2).sum() / 100 / abs(a[2] - b[2]))

    tracker = laptrack.LapTrack(
        metric=over_gaps,
        cutoff=1.0,
        track_start_cost=0.5,
        track_end_cost=0.5,
        gap_closing_metric=over_gaps,
        gap_closing_cutoff=1.0 if gap else False,
        gap_closing_max_frame_count=gap + 1,
        segment_start_cost=0.5,
        segment_end_cost=0.5,
        no_merging_cost=0.0,
    )
    tree = tracker.predict(with_time)
    found = tracks_of(objects, overlap=0.0, max_gap=gap).track
    ours = set()
    first = np.cumsum([0, *map(len, frames)])
    for number in np.unique(found):
        rows = np.flatnonzero(found == number)
        ours |= set(zip(rows[:-1].tolist(), rows[1:].tolist(), strict=True))
    theirs = {
        (int(first[s] + i), int(first[t] + j))
        for (s, i), (t, j) in tree.edges
        if i < len(frames[s]) or j < len(frames[t])
    }
    assert ours == theirs
