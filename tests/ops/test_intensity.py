"""One map from pixel values to RGB for a whole image, whatever its dtype."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from napari_instseg.ops.axes import Image
from napari_instseg.ops.intensity import (
    RGB_COLORS,
    WHITE,
    IntensityMapping,
    as_colors,
    channel_colors,
    map_intensity,
    measure_limits,
    thin,
    used_channels,
)
from napari_instseg.ops.sampling import SAMPLE_PIXELS
from napari_instseg.segmenter import InputError
from napari_instseg.settings import Settings

DTYPES = ["?", "u1", "u2", "u4", "i2", "i8", "f2", "f4", "f8", ">u2", ">f4"]
NAN, INF = np.nan, np.inf


def gray(plane: NDArray[np.generic], low: float, high: float, **options: bool) -> list[float]:
    rgb = IntensityMapping(((low, high),), **options).apply(plane)
    assert rgb.dtype == np.float32
    assert rgb.shape == (*plane.shape, 3)
    np.testing.assert_array_equal(rgb[..., 0], rgb[..., 2])
    return rgb[..., 0].ravel().tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_limits_become_black_and_white_for_every_dtype(dtype: str) -> None:
    top = 1 if dtype == "?" else 100
    plane = np.array([[0, top // 2, top]]).astype(dtype)
    assert gray(plane, 0, top) == [0, 0.5 if top == 100 else 0, 1]


def test_what_lies_outside_the_limits_is_clipped() -> None:
    assert gray(np.array([[5, 10, 15, 20, 25]], np.uint8), 10, 20) == [0, 0, 0.5, 1, 1]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_nan_and_minus_infinity_are_low_and_infinity_is_high(dtype: str) -> None:
    plane = np.array([[NAN, -INF, INF, 0.5]], dtype)
    assert gray(plane, 0, 1) == [0, 0, 1, 0.5]


def test_large_numbers_keep_their_small_differences() -> None:
    base = 2**31
    plane = np.array([[base, base + 1, base + 2]], np.uint32)
    assert gray(plane, base, base + 2) == [0, 0.5, 1]
    wide = np.array([[1e15, 1e15 + 1, 1e15 + 2]])
    assert gray(wide, 1e15, 1e15 + 2) == [0, 0.5, 1]


def test_extreme_values_give_no_warning() -> None:
    huge = np.array([[-1.7e308, 0, 1.7e308]])
    assert gray(huge, -1.7e308, 1.7e308)[0] == 0
    assert gray(np.array([[0, 1, 2]]), 0, 5e-324) == [0, 1, 1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_constant_image_is_black(dtype: str) -> None:
    plane = np.ones((3, 4), dtype)
    (limits,) = measure_limits([plane])
    assert limits == (1, 1)
    assert gray(plane, *limits) == [0] * 12


def test_invert_swaps_dark_and_light() -> None:
    plane = np.array([[10, 12, 20]], np.uint8)
    np.testing.assert_allclose(gray(plane, 10, 20, invert=True), [1, 0.8, 0], rtol=1e-6)


def test_channels_add_up_in_their_colours_and_are_clipped() -> None:
    mapping = IntensityMapping(((0, 10), (0, 100)), ((1, 0, 0.5), (1, 0.25, 0)))
    plane = np.array([[[10, 0], [0, 100], [5, 100]]], np.uint16)
    expected = [[1, 0, 0.5], [1, 0.25, 0], [1, 0.25, 0.25]]
    np.testing.assert_allclose(mapping.apply(plane)[0], expected)


def test_rgb_is_the_same_by_the_short_and_by_the_long_way() -> None:
    plane = np.random.default_rng(0).integers(0, 255, (4, 5, 3), np.uint8)
    limits = ((10, 200),) * 3
    short = IntensityMapping(limits, RGB_COLORS).apply(plane)
    turned = IntensityMapping(limits, RGB_COLORS[::-1]).apply(plane[..., ::-1])
    np.testing.assert_array_equal(short, turned)


def test_wrong_numbers_of_channels_and_colours_are_named() -> None:
    with pytest.raises(ValueError, match="one colour for each of 2 channels, got 1 colours"):
        IntensityMapping(((0, 1), (0, 1)))
    with pytest.raises(
        ValueError, match=r"expected a plane with 1 channels, got shape \(2, 2, 3\)"
    ):
        IntensityMapping(((0, 1),)).apply(np.zeros((2, 2, 3)))


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.float32]),
        st.tuples(st.integers(1, 8), st.integers(1, 8)),
        elements=st.integers(0, 200),
    ),
    st.tuples(st.floats(0, 49), st.floats(51, 100)),
)
def test_limits_are_numpys_percentiles(
    plane: NDArray[np.generic], percentiles: tuple[float, float]
) -> None:
    expected = tuple(np.percentile(plane.astype(float), percentiles))
    if expected[0] == expected[1]:
        expected = (plane.min(), plane.max())
    np.testing.assert_allclose(measure_limits([plane], percentiles), [expected], rtol=1e-6)


def test_twelve_bits_in_sixteen_are_stretched() -> None:
    plane = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    ((low, high),) = measure_limits([plane])
    assert (low, high) == (pytest.approx(4095 * 0.005), pytest.approx(4095 * 0.998))


def test_few_objects_on_a_dark_field_are_not_lost() -> None:
    plane = np.zeros((200, 200), np.uint8)
    plane[50:56, 50:56] = 80
    assert measure_limits([plane]) == ((0, 80),)


def test_pixels_without_a_value_do_not_count() -> None:
    plane = np.arange(101.0)
    dirty = np.concatenate([plane, [NAN, INF, -INF]])[np.newaxis]
    assert measure_limits([dirty], (10, 90)) == ((10, 90),)
    assert measure_limits([np.full((3, 3), NAN)]) == ((0, 0),)
    assert measure_limits([np.zeros((0, 4))]) == ((0, 0),)
    assert measure_limits([]) == ((0, 0),)


def test_channels_have_limits_of_their_own_and_rgb_has_one_for_all() -> None:
    plane = np.stack([np.linspace(0, 10, 101), np.linspace(0, 100, 101)], axis=-1)[np.newaxis]
    assert measure_limits([plane], (0, 100)) == ((0, 10), (0, 100))
    assert measure_limits([plane], (0, 100), joint=True) == ((0, 100), (0, 100))


@pytest.mark.parametrize("percentiles", [(-1, 50), (50, 101), (60, 60), (90, 10)])
def test_percentiles_ascend(percentiles: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="expected percentiles"):
        measure_limits([np.zeros((2, 2))], percentiles)


def test_a_stained_picture_keeps_its_hues() -> None:
    rgb = np.zeros((10, 10, 3), np.uint8)
    rgb[:5] = (200, 100, 50)
    rgb[5:] = (100, 50, 25)
    mapping = map_intensity(Image(rgb, "YXS"), Settings(percentiles=(0, 100)))
    assert mapping.limits == ((25, 200),) * 3
    red, green, _ = mapping.apply(rgb)[0, 0]
    assert red == 1
    assert green == pytest.approx(75 / 175)


def test_one_mapping_serves_all_planes() -> None:
    stack = np.stack([np.zeros((8, 8)), np.full((8, 8), 10.0)])
    mapping = map_intensity(Image(stack, "ZYX"), Settings(percentiles=(0, 100)))
    assert mapping.limits == ((0, 10),)
    assert (mapping.apply(stack[0]).max(), mapping.apply(stack[1]).min()) == (0, 1)


def test_channels_are_chosen_and_coloured() -> None:
    image = Image(np.zeros((3, 8, 8)), "CYX")
    assert map_intensity(image, Settings()).colors == channel_colors(3)
    one = map_intensity(image, Settings(channels=(2,), limits=((0, 5),)))
    assert (one.limits, one.colors) == (((0, 5),), (WHITE,))
    two = map_intensity(image, Settings(channels=(2, 0), limits=((0, 5),)))
    assert two.limits == ((0, 5), (0, 5))
    own = map_intensity(image, Settings(channels=(1,), colors=((0, 1, 0),)))
    assert own.colors == ((0, 1, 0),)
    rgb = Image(np.zeros((8, 8, 3)), "YXS")
    assert map_intensity(rgb, Settings()).colors == RGB_COLORS
    assert map_intensity(rgb, Settings(channels=(0,))).colors == (WHITE,)


def test_channels_that_are_not_there_are_named() -> None:
    image = Image(np.zeros((3, 8, 8)), "CYX")
    with pytest.raises(InputError, match=r"channels: expected numbers from 0 to 2, got \(3,\)"):
        used_channels(image, Settings(channels=(3,)))
    assert used_channels(Image(np.zeros((8, 8)), "YX"), Settings(channels=(0,))) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(colors=((1, 0, 0),)), "colors: expected one for each of 3 channels, got 1"),
        (Settings(limits=((0, 1), (0, 1))), "limits: expected one for each of 3 channels, got 2"),
    ],
)
def test_one_colour_and_one_limit_a_channel(settings: Settings, message: str) -> None:
    with pytest.raises(InputError, match=message):
        map_intensity(Image(np.zeros((3, 8, 8)), "CYX"), settings)


def test_bad_colours_are_named() -> None:
    assert as_colors([[1, 0, 0.5]]) == ((1.0, 0.0, 0.5),)
    for bad in ([1, 0], [1, 0, 1.5]):
        with pytest.raises(ValueError, match="three numbers in"):
            as_colors([bad])


def test_fixed_limits_need_no_pixels() -> None:
    class Unreadable:
        shape, dtype = (10**6, 10**6), np.dtype(np.uint8)

        def __getitem__(self, key: object) -> None:
            raise AssertionError("read")

    image = Image(Unreadable(), "YX")
    assert map_intensity(image, Settings(limits=((0, 255),))).limits == ((0, 255),)


def test_a_large_image_is_read_thinly() -> None:
    class Lazy:
        shape, dtype, read = (40, 20_000, 10_000), np.dtype(np.uint8), 0

        def __getitem__(self, key: tuple[int, slice, slice]) -> NDArray[np.uint8]:
            rows, cols = (
                range(*k.indices(n)) for k, n in zip(key[1:], self.shape[1:], strict=True)
            )
            self.read += len(rows) * len(cols)
            return np.zeros((len(rows), len(cols)), np.uint8)

    lazy = Lazy()
    map_intensity(Image(lazy, "ZYX"), Settings())
    assert 0.5 * SAMPLE_PIXELS < lazy.read <= SAMPLE_PIXELS


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 10_000))
def test_thin_keeps_the_first_pixel_and_few_others(height: int, width: int, pixels: int) -> None:
    plane = np.arange(height * width).reshape(height, width)
    thinned = thin(plane, pixels)
    assert thinned[0, 0] == 0
    assert thinned.size <= pixels + height + width
    assert height * width > pixels or thinned.size == plane.size
