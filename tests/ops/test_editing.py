"""Each edit on small drawings, by exact value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import draw
from label_sets import drawn
from numpy.testing import assert_array_equal
from skimage.segmentation import expand_labels

from napari_instseg import InputError, LabelSet
from napari_instseg.editing import Editor
from napari_instseg.ops.editing.painting import KEEP, Paint
from napari_instseg.ops.editing.runs import decode, encode


def edited(picture: str, name: str, **parameters: Any) -> np.ndarray:
    editor = Editor(drawn(picture))
    editor.apply(name, **parameters)
    return np.asarray(editor.labels.instances)


def edited_stack(labels: np.ndarray, name: str, **parameters: Any) -> np.ndarray:
    spacing = parameters.pop("spacing", {})
    editor = Editor(LabelSet.from_labels(labels, "ZYX", spacing=spacing))
    editor.apply(name, **parameters)
    return np.asarray(editor.labels.instances)


CELLS = """
    AA.BB
    AA.BB
    ..CC.
"""


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        ("delete", {"ids": [1, 3]}, "...BB ...BB ....."),
        ("merge", {"ids": [2, 1]}, "BB.BB BB.BB ..CC."),
        ("remove_edge", {}, "..... ..... ....."),
        ("remove_edge", {"axes": "X"}, "..... ..... ..CC."),
        ("filter", {"column": "area", "max": 3}, "..... ..... ..CC."),
        ("filter", {"column": "area", "min": 4}, "AA.BB AA.BB ....."),
        ("filter", {"column": "col_min", "min": 1, "max": 2}, "..... ..... ..CC."),
        ("filter", {"ids": [1]}, "...BB ...BB ..CC."),
        ("grow", {"ids": [1]}, "AAABB AAABB AACC."),
        ("shrink", {}, "A...B ..... ....."),
        ("cut", {"start": [0, 1], "stop": [2, 4]}, ".A.B. .A.B. ....."),
        ("cut", {"start": [0, 1], "stop": [2, 4], "keep": "outside"}, "A...B A...B ..CC."),
        ("cut", {"start": [0, 1], "stop": [2, 4], "ids": [1]}, ".A.BB .A.BB ..CC."),
        (
            "cut",
            {"start": [0, 0], "stop": [2, 2], "runs": [1, 1, 0, 3], "keep": "outside"},
            ".A.BB AA.BB ..CC.",
        ),
        (
            "cut",
            {"polygon": [[0, 0], [0, 2.9], [2.9, 0]], "keep": "outside"},
            "...BB .A.BB ..CC.",
        ),
        ("paint", {"start": [1, 1], "stop": [2, 4], "runs": [2, 1, 0, 2]}, "AA.BB AB..B ..CC."),
        ("paint", {"start": [1, 1], "stop": [2, 4], "runs": [9, 2, -1, 1]}, "AA.BB AIIBB ..CC."),
    ],
)
def test_edits_of_a_drawing(name: str, parameters: dict[str, Any], expected: str) -> None:
    assert_array_equal(edited(CELLS, name, **parameters), draw("\n".join(expected.split())))


def test_numbers_become_dense() -> None:
    assert_array_equal(edited("C.A\nF.F", "renumber"), draw("B.A\nC.C"))


def test_what_encloses_is_filled_but_not_what_is_others() -> None:
    picture = """
        AAAAA.BB.
        A..CA.B.B
        A...A.BBB
        AAAAA.B..
    """
    filled = """
        AAAAA.BB.
        AAACA.BBB
        AAAAA.BBB
        AAAAA.B..
    """
    # The hole of B is closed by corners only: pixels hang together by their edges outside.
    assert_array_equal(edited(picture, "fill_holes"), draw(filled))
    only = draw(picture)
    only[1, 7] = 2
    assert_array_equal(edited(picture, "fill_holes", ids=[2]), only)


def test_a_hole_through_z_is_closed_plane_by_plane_only() -> None:
    ring = draw("AAA\nA.A\nAAA")
    tube = np.stack([ring, ring, ring])
    assert_array_equal(edited_stack(tube, "fill_holes"), tube)
    assert edited_stack(tube, "fill_holes", each_plane=True).all()
    closed = np.concatenate([np.ones_like(ring[None]), tube, np.ones_like(ring[None])])
    assert edited_stack(closed, "fill_holes").all()


def test_a_spike_goes_a_notch_is_filled_and_neighbours_stay() -> None:
    picture = """
        ..........
        .......D..
        .AAAAAADB.
        .AAA.AA.B.
        .AAAAAA...
        ..A.......
        ..........
    """
    smooth = """
        ..........
        .......D..
        .AAAAAADB.
        .AAAAAA.B.
        .AAAAAA...
        ..........
        ..........
    """
    assert_array_equal(edited(picture, "smooth", ids=[1], radius=1), draw(smooth))
    # Of lines nothing would be left.
    assert_array_equal(edited(picture, "smooth", ids=[2, 4], radius=1), draw(picture))


def test_growing_is_that_of_scikit_image_where_all_grow() -> None:
    rng = np.random.default_rng(5)
    labels = np.zeros((40, 50), np.int32)
    for number, (row, col) in enumerate(rng.integers(0, 38, (12, 2)), start=1):
        labels[row : row + 3, col : col + 3] = number
    editor = Editor(LabelSet.from_labels(labels, "YX"))
    editor.apply("grow", distance=4.5)
    assert_array_equal(editor.labels.instances, expand_labels(labels, 4.5))


def test_growing_goes_as_far_in_z_as_in_x() -> None:
    labels = np.zeros((5, 5, 5), np.int32)
    labels[2, 2, 2] = 1
    spacing = {"Z": 2.0, "Y": 1.0, "X": 1.0}
    assert_array_equal(
        edited_stack(labels, "grow", distance=1, spacing=spacing).sum(axis=(1, 2)), [0, 0, 5, 0, 0]
    )
    two = edited_stack(labels, "grow", distance=2, spacing=spacing)
    assert_array_equal(two.sum(axis=(1, 2)), [0, 1, 13, 1, 0])
    assert_array_equal(
        edited_stack(two, "shrink", distance=1, spacing=spacing).sum(axis=(1, 2)), [0, 0, 5, 0, 0]
    )


def test_frames_do_not_grow_into_each_other() -> None:
    labels = np.zeros((2, 3, 3), np.int32)
    labels[0, 1, 1] = 1
    editor = Editor(LabelSet.from_labels(labels, "TYX"))
    editor.apply("grow", distance=3)
    assert_array_equal(editor.labels.instances, [np.ones((3, 3)), np.zeros((3, 3))])


class TestLine:
    def test_the_larger_part_keeps_the_number(self) -> None:
        before = "AAAAA.\nAAAAAB\nAAAAA."
        after = "CCAAA.\nCCAAAB\nCCAAA."
        assert_array_equal(edited(before, "split_line", id=1, line=[[-1, 2], [4, 2]]), draw(after))

    def test_a_bent_line_and_a_slanted_one(self) -> None:
        square = "AAAA\nAAAA\nAAAA\nAAAA"
        bent = edited(square, "split_line", id=1, line=[[-1, 2], [2, 2], [2, 5]])
        assert_array_equal(bent, draw("AABB\nAABB\nAAAA\nAAAA"))
        slanted = edited(square, "split_line", id=1, line=[[-0.5, -0.4], [4.6, 4.7]])
        assert_array_equal(slanted, draw("BAAA\nBBAA\nBBBA\nBBBB".translate({65: 66, 66: 65})))

    def test_through_pixels_centres(self) -> None:
        across = edited("AAA\nAAA\nAAA", "split_line", id=1, line=[[-1, 1.5], [5, 1.5]])
        assert sorted(np.unique(across, return_counts=True)[1]) == [3, 6]

    def test_pieces_that_the_line_does_not_meet_stay(self) -> None:
        parts = edited("AA.AAA", "split_line", id=1, line=[[-1, 5], [2, 5]])
        assert_array_equal(parts, draw("AA.AAB"))

    def test_of_three_parts_two_are_new_by_their_size(self) -> None:
        parts = edited("AAAAAA", "split_line", id=1, line=[[-1, 1], [2, 1], [2, 3], [-1, 3]])
        assert_array_equal(parts, draw("CBBAAA"))

    @pytest.mark.parametrize("line", [[[-1, 0], [3, 0]], [[0, 1], [0.9, 1]], [[9, 9], [8, 8]]])
    def test_what_does_not_divide_is_refused(self, line: list[list[float]]) -> None:
        with pytest.raises(InputError, match="does not divide object 1"):
            edited("AA\nAA", "split_line", id=1, line=line)

    def test_on_a_plane_and_through_all(self) -> None:
        labels = np.ones((3, 2, 4), np.int32)
        line = [[-1, 3], [3, 3]]
        one = edited_stack(labels, "split_line", id=1, line=line, plane=[1])
        assert_array_equal(one[1], draw("AAAB\nAAAB"))
        assert (one[[0, 2]] == 1).all()
        every = edited_stack(labels, "split_line", id=1, line=line, plane=[1], through=True)
        assert_array_equal(every, np.stack([draw("AAAB\nAAAB")] * 3))
        labels[1] = 0
        with pytest.raises(InputError, match=r"object 1 on plane \(1,\)"):
            edited_stack(labels, "split_line", id=1, line=line, plane=[1])


class TestPoints:
    DUMBBELL = """
        AAA...AAA
        AAAAAAAAA
        AAA...AAA
    """

    def test_it_parts_where_it_is_narrow(self) -> None:
        parts = edited(self.DUMBBELL, "split_points", id=1, points=[[1, 1], [1, 7]])
        left, right = parts[:, :3], parts[:, 6:]
        assert len(np.unique(left)) == len(np.unique(right)) == 1
        assert {left[0, 0], right[0, 0]} == {1, 2}

    def test_each_click_has_a_part_in_z_too(self) -> None:
        labels = np.ones((6, 3, 3), np.int32)
        parts = edited_stack(labels, "split_points", id=1, points=[[0, 1, 1], [5, 1, 1]])
        assert len({int(parts[0, 1, 1]), int(parts[5, 1, 1])}) == 2
        only = edited_stack(
            labels, "split_points", id=1, points=[[2, 1, 0], [2, 1, 2]], through=False
        )
        assert set(np.unique(only[2])) == {1, 2}
        assert (np.delete(only, 2, axis=0) == 1).all()

    def test_where_planes_lie_far_apart_depth_is_real(self) -> None:
        # Two balls of the same real size, on each other in z: the waist is between them.
        z, y, x = np.mgrid[:9, :11, :11]
        at = [((z - c) * 3) ** 2 + (y - 5) ** 2 + (x - 5) ** 2 <= 36 for c in (2, 6)]
        labels = (at[0] | at[1]).astype(np.int32)
        spacing = {"Z": 3.0, "Y": 1.0, "X": 1.0}
        points = [[2, 5, 5], [6, 5, 5]]
        parts = edited_stack(labels, "split_points", id=1, points=points, spacing=spacing)
        assert len(np.unique(parts[:4][labels[:4] > 0])) == 1
        assert len(np.unique(parts[5:][labels[5:] > 0])) == 1

    @pytest.mark.parametrize("points", [[[0, 3], [1, 7]], [[1, 1], [9, 9]]])
    def test_a_click_beside_it_is_refused(self, points: list[list[int]]) -> None:
        with pytest.raises(InputError, match="is not on object 1"):
            edited(self.DUMBBELL, "split_points", id=1, points=points)


def test_runs_go_there_and_back() -> None:
    values = np.random.default_rng(0).integers(-1, 3, (3, 4, 5)).astype(np.int32)
    assert_array_equal(decode(encode(values), values.shape), values)
    stroke = np.full((20, 30), KEEP, np.int32)
    stroke[5:15, 10:20] = 4
    assert len(Paint.of((0, 0), stroke).runs) < 50
    with pytest.raises(InputError, match="6 pixels in all"):
        decode([1, 5], (2, 3))
