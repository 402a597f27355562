"""Objects that two of three directions agree on."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import draw, same_partition
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from napari_instseg.ops.consensus import agree

volumes = hnp.arrays(np.int32, st.tuples(*[st.integers(1, 5)] * 3), elements=st.integers(0, 4))


def test_two_of_three_decide() -> None:
    xy = draw("""
        AAAA..BB
        AAAA..BB
        ......BB
    """)
    xz = draw("""
        .BBB..AA
        .BBB..AA
        CC....AA
    """)
    yz = draw("""
        AAAAAABB
        AAAA..BB
        CC....BB
    """)
    found = agree([xy, xz, yz])
    expected = draw("""
        AAAA..BB
        AAAA..BB
        CC....BB
    """)
    np.testing.assert_array_equal(found.labels, expected)
    assert found.members.tolist() == [[1, 2, 1], [2, 1, 2], [0, 3, 3]]
    assert found.iou == pytest.approx([(6 / 8 + 8 / 10 + 6 / 10) / 3, 1, 1])


def test_what_one_direction_alone_finds_is_left_out() -> None:
    one, nothing = draw("AA.\nAA.\n..."), np.zeros((3, 3), np.int32)
    found = agree([one, nothing, nothing])
    assert found.labels.max() == 0
    assert found.members.shape == (0, 3)


def test_what_one_direction_fuses_the_others_keep_apart() -> None:
    apart, fused = draw("AAABBB\nAAABBB"), draw("AAAAAA\nAAAAAA")
    found = agree([apart, fused, apart])
    np.testing.assert_array_equal(found.labels, apart)
    # The fused one can be a member of one of the two only.
    assert found.members.tolist() == [[1, 1, 1], [2, 0, 2]]


def test_too_little_overlap_is_no_agreement() -> None:
    a, b = draw("AAAA...."), draw("...AAAAA")
    assert agree([a, b]).labels.max() == 0
    np.testing.assert_array_equal(agree([a, b], min_iou=0.1).labels, draw("...A...."))


@given(volumes)
def test_equal_volumes_agree_on_all(volume: NDArray[np.int32]) -> None:
    found = agree([volume] * 3)
    assert same_partition(found.labels, volume)
    assert (found.iou == 1).all()


@given(st.data())
def test_voxels_have_two_votes_and_members_are_theirs(data: st.DataObject) -> None:
    first = data.draw(volumes)
    same = hnp.arrays(np.int32, first.shape, elements=st.integers(0, 4))
    found_in = [first, data.draw(same), data.draw(same)]
    found = agree(found_in)
    assert set(np.unique(found.labels)) - {0} == set(range(1, len(found.members) + 1))
    for number, members in enumerate(found.members, start=1):
        votes = sum((v == m) & (m > 0) for v, m in zip(found_in, members, strict=True))
        np.testing.assert_array_equal(found.labels == number, votes >= 2)
    for column in found.members.T:
        assert len(set(column[column > 0])) == np.count_nonzero(column)
