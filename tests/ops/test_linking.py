"""Objects of planes linked into objects: small cases by exact value, properties, known volumes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from helpers import draw
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from volumes import ellipsoids, planes_of, with_faults

from napari_instseg.evaluation import match_labels
from napari_instseg.instances import Instances, Mask
from napari_instseg.ops.linking import LinkRules, Links, Stack, heaviest
from napari_instseg.ops.masks import corners, paint_labels
from napari_instseg.ops.nesting import meeting

RULES = LinkRules()


def stack_of(picture: str, rules: LinkRules = RULES) -> Stack:
    """Planes side by side, with a blank between them; each letter is an object of its plane."""
    lines = [line.split() for line in picture.strip().splitlines()]
    return Stack(
        [Instances.from_labels(draw("\n".join(z))) for z in zip(*lines, strict=True)], rules
    )


def link(picture: str, shown: Any = None, **rules: float) -> str:
    """Letters of the objects, plane by plane; '-' for those left out."""
    stack = stack_of(picture, LinkRules(**rules))  # type: ignore[arg-type]
    objects = stack.link(shown).objects
    names = ["-ABCDEFGH"[n + 1] for n in objects]
    planes = (
        [name for name, p in zip(names, stack.plane, strict=True) if p == z]
        for z in range(stack.plane.max(initial=-1) + 1)
    )
    return " ".join("".join(names) or "." for names in planes)


# ------------------------------------------------------------------------------------- by value


def test_a_straight_column_is_one_object() -> None:
    columns = """
        AA..  AA..  AA..
        AA.B  AA.B  AA.B
    """
    assert link(columns) == "AB AB AB"
    links = stack_of(columns).link()
    assert links.pairs.tolist() == [[0, 2], [1, 3], [2, 4], [3, 5]]
    assert links.iou.tolist() == [1, 1, 1, 1]


def test_each_links_iou_is_kept() -> None:
    links = stack_of("""
        AAA.  .AAA  ..AA
        AAA.  .AAA  ..AA
    """).link()
    assert links.iou.tolist() == pytest.approx([4 / 8, 4 / 6])


def test_a_plane_without_the_object_is_leapt_over() -> None:
    gap = """
        AA..  ....  AA..
        AA.B  ...B  AA.B
    """
    assert link(gap) == "AB B AB"
    assert link(gap, max_gap=0) == "AB B CB"
    two = """
        AAA.  ....  ....  AAA.
        AAA.  ...B  ...B  AAA.
        AAA.  ....  ....  AAA.
    """
    assert link(two) == "A B B C"
    assert link(two, max_gap=2) == "A B B A"


def test_what_is_seen_in_all_planes_is_not_leapt_over() -> None:
    # The nearer plane first: A is not linked from the first plane to the third.
    assert (
        link("""
        AAA  AAA  AAA
        AAA  AA.  AAA
    """)
        == "A A A"
    )


def test_two_that_touch_in_one_plane_stay_two() -> None:
    assert link("""
        AA.BB  AAAAA  AA.BB
        AA.BB  AAAAA  AA.BB
    """) in ("AB A AB", "AB B AB")
    # The larger one has more of what they look like together.
    assert (
        link("""
        AAA.BB  AAAAAA  AAA.BB
        AAA.BB  AAAAAA  AAA.BB
    """)
        == "AB A AB"
    )


def test_of_two_branches_one_goes_on() -> None:
    assert (
        link("""
        AAAAAA  AAAAAA  AAA.BB
        AAAAAA  AAAAAA  AAA.BB
    """)
        == "A A AB"
    )


def test_the_largest_total_overlap_is_chosen_not_the_first_or_the_best_of_each() -> None:
    # Both B and C overlap most with A's counterpart, and only C has no other.
    picture = """
        AAAAAABBBBBB  AAA.........
        ............  ...BBBBBB...
    """
    assert link(picture, min_overlap=0.2) == "AB AC"
    shifted = """
        AAAABBBBCCCC..  ..AAAABBBBCCCC
        AAAABBBBCCCC..  ..AAAABBBBCCCC
    """
    # Halfway between two each: all three can have a partner, which is more than two.
    assert link(shifted) == "ABC ABC"


def test_the_end_of_a_round_object_lies_in_it() -> None:
    cap = """
        AAAAA  .....
        AAAAA  .AA..
        AAAAA  .AA..
        AAAAA  .....
    """
    for overlap in (0.3, 0.9):
        assert link(cap, min_overlap=overlap) == "A A"
    # It takes it from nobody: the other's counterpart is larger.
    assert (
        link("""
        AAAAA  BBBBB  BBBBB
        AAAAA  BBBBB  BBB.A
        AAAAA  BBBBB  BBBBB
    """)
        == "A A BA"
    )
    beside = """
        AAAAA.  ......
        AAAAA.  ......
        AAAAA.  ....AA
        AAAAA.  ....AA
    """
    assert link(beside, min_overlap=0.16) == "A B"  # 2 / 22, half of it inside.
    assert link(beside, min_overlap=0.09) == "A A"


def test_a_large_step_asks_for_less_overlap() -> None:
    moved = """
        AAAA....  ..AAAA..
        AAAA....  ..AAAA..
        AAAA....  ..AAAA..
    """
    third = 6 / 18
    assert link(moved, min_overlap=third) == "A A"
    assert link(moved, min_overlap=third + 0.01) == "A B"
    # Its diameter is 3.9 px: halfway there, two thirds of the overlap will do.
    diameter = 2 * (12 / np.pi) ** 0.5
    assert link(moved, min_overlap=third * 1.5, step=1 + diameter / 2 + 1e-6) == "A A"
    assert link(moved, min_overlap=third * 1.5, step=1 + diameter / 2 - 1e-6) == "A B"
    assert link(moved, min_overlap=third * 2, step=100) == "A A"
    assert link(moved, min_overlap=third * 2 + 0.01, step=100) == "A B"


def test_a_large_step_allows_no_gap() -> None:
    gap = """
        AAAA  ....  AAAA
        AAAA  ....  AAAA
        AAAA  ....  AAAA
    """
    assert link(gap, step=1.9) == "A . A"
    assert link(gap, step=2.0) == "A . B"
    assert link(gap, step=2.0, max_gap=5) == "A . B"


def test_a_gap_is_not_leapt_over_where_one_object_ends_and_another_begins() -> None:
    assert (
        link("""
        AAAA  ....  ....  ....  AAAA
        AAAA  .AA.  ....  .AA.  AAAA
        AAAA  .AA.  ....  .AA.  AAAA
        AAAA  ....  ....  ....  AAAA
    """)
        == "A A . B B"
    )
    # It may grow through a gap, and be largest in it.
    assert (
        link("""
        ....  ....  ....  AAAA  AAAA
        ....  .AA.  ....  AAAA  AAAA
        .AA.  .AA.  ....  AAAA  AAAA
        ....  ....  ....  ....  AAAA
    """)
        == "A A . A A"
    )
    assert (
        link("""
        ....  AAAA  ....  AAAA  ....
        .AA.  AAAA  ....  AAAA  .AA.
        ....  AAAA  ....  AAAA  ....
    """)
        == "A A . A A"
    )


WAIST = """
    AAAAAA  AAAAA.  AAAA..  AAA...  AA....  AAA...  AAAA..  AAAAA.  AAAAAA
    AAAAAA  AAAAAA  AAAAAA  AAA...  AAA...  AAAA..  AAAAA.  AAAAAA  AAAAAA
"""


def test_where_both_sides_become_smaller_one_object_lies_on_another() -> None:
    # Links to the smallest mask: 5 of 6 px from below, 5 of 7 px from above.
    assert link(WAIST) == "A A A A A B B B B"
    assert link(WAIST, cut_waists=False) == "A A A A A A A A A"


def test_one_plane_that_shows_too_little_is_no_waist() -> None:
    assert (
        link("""
        AAAAA  AAAAA  AAA..  AAAAA  AAAAA
        AAAAA  AAAAA  AAA..  AAAAA  AAAAA
    """)
        == "A A A A A"
    )


def test_gaps_are_the_same_from_both_sides() -> None:
    # Two gaps with one mask between: what is linked over the first says nothing of the second.
    picture = """
        AAAA  AAAA  ....  ....  ....  AAAA  AAAA
        AAAA  AAAA  ....  AAA.  ....  AAAA  AAAA
        AAAA  AA..  ....  AAA.  ....  AA..  AAAA
        ....  ....  ....  AAA.  ....  ....  ....
    """
    lines = [line.split() for line in picture.strip().splitlines()]
    turned = "\n".join("  ".join(line[::-1]) for line in lines)
    assert link(picture) == link(turned)[::-1] == "A A . A . A A"


def test_nothing_one_plane_and_empty_planes() -> None:
    for planes in ([], [Instances.empty((3, 4))], [Instances.empty((3, 4))] * 3):
        links = Stack(planes, RULES).link()
        assert (len(links.objects), links.pairs.shape, len(links.iou)) == (0, (0, 2), 0)
    assert link("AA.B") == "AB"
    assert (
        link("""
        ..  AA  ..  ..  ..  AA
        ..  AA  ..  ..  ..  AA
    """)
        == ". A . . . B"
    )


def test_what_is_not_shown_is_not_there() -> None:
    picture = """
        AAA  AAA  AAA
        AAA  AA.  AAA
    """
    assert link(picture, np.array([True, False, True])) == "A - A"
    assert link(picture, np.array([True, False, True]), max_gap=0) == "A - B"
    assert link(picture, np.array([False, True, True])) == "- A A"


def test_categories_stay_apart() -> None:
    cell = [Mask((0, 0), np.ones((3, 3), bool))]
    planes = [Instances.create((3, 3), cell, category_ids=[c]) for c in (1, 2, 1)]
    assert Stack(planes, RULES).link().objects.tolist() == [0, 1, 0]


def test_between_equal_overlaps_the_better_score_decides_then_the_place() -> None:
    wide = Instances.create((1, 6), [Mask((0, 0), np.ones((1, 6), bool))])
    halves = [Mask((0, 0), np.ones((1, 3), bool)), Mask((0, 3), np.ones((1, 3), bool))]
    for order, scores in itertools.product(([0, 1], [1, 0]), ([0.5, 0.9], [0.9, 0.5], [0.7, 0.7])):
        two = Instances.create((1, 6), halves, scores=scores).take(order)
        for planes in ([wide, two], [two, wide]):
            stack = Stack(planes, RULES)
            (pair,) = stack.link().pairs
            left = min(stack.masks[k].origin[1] for k in pair if stack.masks[k].area == 3) == 0
            assert left == (scores[0] >= scores[1])


# ----------------------------------------------------------------------------------- properties


def random_planes(seed: int, depth: int = 5, count: int = 12, size: int = 40) -> list[Instances]:
    """Planes of boxes that overlap those of other planes, and each other, with random scores."""
    rng = np.random.default_rng(seed)
    planes = []
    for _ in range(depth):
        place = rng.integers(0, size - 12, (rng.integers(0, count + 1), 2))
        masks = [Mask((int(r), int(c)), np.ones(rng.integers(3, 13, 2), bool)) for r, c in place]
        planes.append(Instances.create((size, size), masks, scores=rng.random(len(masks))))
    return planes


def objects_of(links: Links, names: list[Any]) -> set[frozenset[Any]]:
    """The objects as sets of names of what belongs to them."""
    return {
        frozenset(name for name, o in zip(names, links.objects, strict=True) if o == k)
        for k in range(links.objects.max(initial=-1) + 1)
    }


seeds = st.integers(0, 10_000)
some_rules = st.builds(
    LinkRules, st.floats(0.05, 1), st.integers(0, 3), st.floats(0.1, 20, allow_nan=False)
)


@given(seeds, some_rules)
def test_links_are_one_to_one_and_keep_the_rules(seed: int, rules: LinkRules) -> None:
    planes = random_planes(seed)
    stack = Stack(planes, rules)
    links = stack.link()
    for side in links.pairs.T:
        assert len(np.unique(side)) == len(side)
    for (a, b), iou in zip(links.pairs.tolist(), links.iou, strict=True):
        apart = stack.plane[b] - stack.plane[a]
        assert 1 <= apart <= rules.max_gap + 1
        canvas = [np.zeros((40, 40), bool) for _ in range(2)]
        for pixels, k in zip(canvas, (a, b), strict=True):
            pixels[stack.masks[k].slices] = stack.masks[k].pixels
        shared = (canvas[0] & canvas[1]).sum()
        assert iou == pytest.approx(shared / (canvas[0] | canvas[1]).sum())
        smaller = min(stack.masks[k].area for k in (a, b))
        assert iou >= rules.min_overlap / 2 or shared >= 0.8 * smaller
    # One object has one mask a plane.
    places = list(zip(links.objects.tolist(), stack.plane.tolist(), strict=True))
    assert len(set(places)) == len(places)


@given(seeds, some_rules)
def test_the_order_in_a_plane_changes_nothing(seed: int, rules: LinkRules) -> None:
    planes = random_planes(seed)
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(plane)) for plane in planes]
    names = [(z, k) for z, plane in enumerate(planes) for k in range(len(plane))]
    mixed = [(z, int(k)) for z, order in enumerate(orders) for k in order]
    first = Stack(planes, rules).link()
    second = Stack([p.take(o) for p, o in zip(planes, orders, strict=True)], rules).link()
    assert objects_of(first, names) == objects_of(second, mixed)
    assert sorted(first.iou) == sorted(second.iou)


@given(seeds, some_rules)
def test_upside_down_is_the_same(seed: int, rules: LinkRules) -> None:
    planes = random_planes(seed)
    names = [(z, k) for z, plane in enumerate(planes) for k in range(len(plane))]
    turned = [(z, k) for z, plane in [*enumerate(planes)][::-1] for k in range(len(plane))]
    first, second = (Stack(p, rules).link() for p in (planes, planes[::-1]))
    assert objects_of(first, names) == objects_of(second, turned)


@given(seeds)
def test_one_plane_changes_nothing(seed: int) -> None:
    (plane,) = random_planes(seed, depth=1)
    assert Stack([plane], RULES).link().objects.tolist() == list(range(len(plane)))


@given(seeds, st.integers(1, 8), st.integers(1, 8))
def test_the_choice_is_the_best_there_is(seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    table = np.where(rng.random((rows, columns)) < 0.4, rng.random((rows, columns)), 0)
    i, j = np.nonzero(table)
    if not len(i):
        return
    chosen = heaviest(i, j, table[i, j])
    assert len(np.unique(i[chosen])) == len(np.unique(j[chosen])) == len(chosen)
    best = table[linear_sum_assignment(table, maximize=True)].sum()
    assert table[i[chosen], j[chosen]].sum() == pytest.approx(best)


@given(
    *[st.lists(st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(1, 40)] * 2), max_size=15)] * 2
)
def test_all_boxes_that_meet_are_found_once(first: list[Any], second: list[Any]) -> None:
    def boxes(rows: list[Any]) -> NDArray[np.int64]:
        return corners(Mask((r, c), np.ones((h, w), bool)) for r, c, h, w in rows)

    a, b = boxes(first), boxes(second)
    expected = [
        (i, j)
        for i, j in itertools.product(range(len(a)), range(len(b)))
        if (a[i, :2] < b[j, 2:]).all() and (b[j, :2] < a[i, 2:]).all()
    ]
    assert [*zip(*meeting(a, b), strict=True)] == expected


# ------------------------------------------------------------------------------- known volumes


def linked(planes: list[Instances], rules: LinkRules) -> NDArray[np.int32]:
    """Label image of the objects."""
    stack = Stack(planes, rules)
    objects = stack.link().objects + 1
    labels = []
    for z, plane in enumerate(planes):
        numbers = np.concatenate([[0], objects[stack.plane == z]])
        labels.append(numbers[paint_labels(plane, plane.image_shape)])
    return np.stack(labels).astype(np.int32)


def precision(planes: list[Instances], truth: NDArray[np.int32], rules: LinkRules) -> float:
    (match,) = match_labels(truth, linked(planes, rules), [0.5]).matches.values()
    return match.average_precision


# Where a step is half an object, its ends and the next one's beginning are as near as a gap.
@pytest.mark.parametrize(("step", "gap"), [(1.0, 1), (3.0, 1), (6.0, 0)])
def test_ellipsoids_are_found_again(step: float, gap: int) -> None:
    truth = ellipsoids((round(120 / step), 128, 128), 30, step, touching=1.15)
    assert truth.max() >= 25
    assert precision(planes_of(truth), truth, LinkRules(max_gap=gap, step=step)) == 1


@pytest.mark.parametrize("step", [1.0, 3.0])
def test_ellipsoids_that_cut_into_each_other(step: float) -> None:
    truth = ellipsoids((round(80 / step), 128, 128), 60, step, touching=0.8)
    assert precision(planes_of(truth), truth, LinkRules(step=step)) >= 0.85


def test_faults_of_the_planes_are_mended() -> None:
    truth = ellipsoids((60, 160, 160), 60, touching=0.85)
    planes = with_faults(planes_of(truth), missed=0.1, fused=0.1)
    without = precision(planes, truth, LinkRules(max_gap=0))
    mended = precision(planes, truth, LinkRules(max_gap=2))
    assert mended >= 0.85
    assert mended > without + 0.3
