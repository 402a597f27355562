"""Images with named axes: which planes they have, and what reading a part gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_instseg.ops.axes import Image
from napari_instseg.ops.axis_names import GUESSED, OME, NamedAxes, guess_axes, name_axes
from napari_instseg.segmenter import InputError

SIZES = {"T": 2, "Z": 3, "C": 4, "Y": 5, "X": 6, "S": 3}
ALL = slice(None)


def counted(axes: str) -> NDArray[np.int64]:
    """An array whose every value is its own position."""
    shape = [SIZES[a] for a in axes]
    return np.arange(np.prod(shape)).reshape(shape)


class Spy:
    """An array that notes which keys it was read by."""

    def __init__(self, data: NDArray[np.generic]) -> None:
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.read = 0

    def __getitem__(self, key: object) -> NDArray[np.generic]:
        part = self.data[key]  # type: ignore[call-overload]
        self.read += part.size
        return part


@pytest.mark.parametrize(
    ("shape", "axes", "message"),
    [
        ((4, 5), "ZYX", r"for each of 2 dimensions, got axes 'ZYX' for shape \(4, 5\)"),
        ((4, 5), "ZX", "expected axes with Y and X, each letter once, got 'ZX'"),
        ((4, 4, 5), "YYX", "each letter once"),
        ((4, 5), "yx", "expected axes with Y and X"),
        ((3, 4, 5), "SYX", r"expected S \(RGB samples\) as the last axis, without C, got 'SYX'"),
        ((2, 4, 5, 3), "CYXS", "without C"),
        ((4, 5, 2), "YXS", "expected 3 or 4 RGB samples, got 2"),
    ],
)
def test_axes_that_do_not_fit_are_named(shape: tuple[int, ...], axes: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Image(np.zeros(shape), axes)


@pytest.mark.parametrize("dtype", ["c8", "U3", "M8[s]", "O"])
def test_only_numbers_are_images(dtype: str) -> None:
    with pytest.raises(InputError, match="expected an image of bool, integers or floats, got"):
        Image(np.empty((2, 2), dtype), "YX")


def test_pixel_sizes_are_positive() -> None:
    with pytest.raises(InputError, match="above 0 µm"):
        Image(np.zeros((2, 2)), "YX", {"Y": 0.5, "X": 0.0})


@pytest.mark.parametrize(
    ("axes", "plane_axes", "label_shape", "channels"),
    [
        ("YX", "", (5, 6), 1),
        ("XY", "", (5, 6), 1),
        ("YXS", "", (5, 6), 3),
        ("TCZYX", "TZ", (2, 3, 5, 6), 4),
        ("ZTYXC", "ZT", (3, 2, 5, 6), 4),
        ("ZYXS", "Z", (3, 5, 6), 3),
    ],
)
def test_how_an_image_falls_into_planes(
    axes: str, plane_axes: str, label_shape: tuple[int, ...], channels: int
) -> None:
    image = Image(counted(axes), axes)
    assert image.plane_axes == plane_axes
    assert image.label_axes == plane_axes + "YX"
    assert image.label_shape == label_shape
    assert image.channel_count == channels
    assert image.is_rgb == ("S" in axes)
    assert image.planes() == list(itertools.product(*(range(n) for n in label_shape[:-2])))


@pytest.mark.parametrize("axes", ["".join(p) for p in itertools.permutations("CZYX")])
def test_the_channel_axis_may_stand_anywhere(axes: str) -> None:
    data = counted(axes)
    image = Image(data, axes)
    expected = np.einsum(f"{axes}->ZYXC", data)
    for z in range(3):
        got = image.read((z,), slice(1, 4), slice(2, 6, 3), (3, 1))
        np.testing.assert_array_equal(got, expected[z, 1:4, 2:6:3, [3, 1]].transpose(1, 2, 0))


@given(order=st.permutations("TZCYX"), channels=st.lists(st.integers(0, 3), min_size=1))
def test_reading_is_indexing(order: list[str], channels: list[int]) -> None:
    axes = "".join(order)
    data = counted(axes)
    image = Image(data, axes)
    plane = (1, 2) if image.plane_axes == "TZ" else (2, 1)
    expected = np.einsum(f"{axes}->TZYXC", data)[1, 2]
    got = image.read(plane, slice(0, 5), slice(0, 6))
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(
        image.read(plane, slice(0, 5), slice(0, 6), channels), expected[..., channels]
    )


def test_alpha_is_left_out() -> None:
    data = np.arange(5 * 6 * 4).reshape(5, 6, 4)
    got = Image(data, "YXS").read((), slice(0, 5), slice(0, 6))
    np.testing.assert_array_equal(got, data[..., :3])
    green = Image(data, "YXS").read((), slice(0, 5), slice(0, 6), (1,))
    np.testing.assert_array_equal(green, data[..., 1:2])


def test_a_plane_without_a_channel_axis_has_none() -> None:
    assert Image(counted("ZYX"), "ZYX").read((1,), slice(0, 2), slice(0, 2)).shape == (2, 2)


def test_only_what_is_asked_for_is_read() -> None:
    spy = Spy(counted("TCYX"))
    image = Image(spy, "TCYX")
    image.read((1,), slice(1, 3), slice(0, 6), (2,))
    assert spy.read == 2 * 6
    image.read((1,), slice(1, 3), slice(0, 6), (1, 2))
    assert spy.read == 2 * 6 + 2 * 2 * 6


def test_axes_are_guessed_by_their_number() -> None:
    assert [guess_axes((9,) * n).letters for n in (2, 3, 4, 5)] == ["YX", "ZYX", "TZYX", "TZCYX"]
    assert guess_axes((2, 9, 9, 3)).letters == "ZYXS"
    for shape in ((9,), (9,) * 6):
        with pytest.raises(InputError, match=r"expected 2 to 5 dimensions.*name its axes"):
            guess_axes(shape)


def test_guesses_are_noted_and_what_is_known_is_not() -> None:
    data = np.zeros((2, 3, 1, 8, 9))
    guess = guess_axes(data.shape)
    (note,) = Image(data, guess.letters, sources=guess.sources).notes
    assert note == (
        "axes TZCYX: T (time-lapse, 2) and Z (z-stack, 3) were guessed from the number of "
        "dimensions; name the axes if that is not right"
    )
    assert Image(data, "TCZYX").notes == ()
    assert Image(data, "TCZYX", sources=dict.fromkeys("TCZYX", OME)).notes == ()
    # Of a single plane there is nothing to say.
    assert Image(data[:1, 0, 0], "ZYX", sources=dict.fromkeys("ZYX", GUESSED)).notes == ()


HINTS = st.lists(st.lists(st.sampled_from(["", *"TZCYXPQ"]), min_size=1, max_size=7), max_size=3)


@given(count=st.integers(2, 7), hints=HINTS, rgb=st.booleans())
def test_whatever_is_known_axes_fit(count: int, hints: list[list[str]], rgb: bool) -> None:
    named = name_axes(count, [(hint, OME) for hint in hints], rgb=rgb)
    letters = named.letters.removesuffix("S") if rgb else named.letters
    assert len(letters) == len(set(letters)) == count
    assert set(named.sources) == set(letters)
    assert not (rgb and "C" in letters)
    Image(np.zeros((5,) * count + (3,) * rgb), named.letters)
    # The surest hint counts wherever it is possible.
    first = next((hint for hint in hints if len(hint) == count), [])
    known = [hint for hint in first if hint]
    if {"Y", "X"} <= set(known) and len(set(known)) == len(known) and not rgb:
        assert [a for a, hint in zip(letters, first, strict=True) if hint] == known


def test_a_cut_through_z_has_rows_too() -> None:
    assert name_axes(2, [(("Z", "X"), OME)]) == NamedAxes("YX", {"X": OME, "Y": GUESSED})
