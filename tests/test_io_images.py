"""Reading images of every format, hostile ones too, and writing label images."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from napari_instseg.io import tiff
from napari_instseg.io.images import is_image, read_image, read_labels, stem_of, write_labels
from napari_instseg.segmenter import InputError

RNG = np.random.default_rng(0)
PLANE = RNG.integers(0, 1000, (24, 32)).astype(np.uint16)
STACK = RNG.integers(0, 1000, (5, 24, 32)).astype(np.uint16)
COLOR = RNG.integers(0, 255, (24, 32, 3)).astype(np.uint8)


def save(path: Path, data: np.ndarray, **options) -> Path:
    options.setdefault("photometric", "minisblack")
    tifffile.imwrite(path, data, **options)
    return path


class TestTiff:
    @pytest.mark.parametrize(
        "dtype",
        ["bool", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">f4"],
    )
    @pytest.mark.parametrize("compression", [None, "zlib"])
    def test_every_type_of_number(self, tmp_path, dtype, compression):
        data = (PLANE % 100).astype(dtype)
        order = ">" if dtype.startswith(">") else "<"
        path = save(tmp_path / "a.tif", data, compression=compression, byteorder=order)
        image = read_image(path)
        assert image.axes == "YX"
        assert image.data.dtype == data.dtype.newbyteorder("=")
        assert image.data.dtype.isnative
        np.testing.assert_array_equal(image.data, data)

    def test_axes_and_pixel_size_of_ome(self, tmp_path):
        data = np.arange(2 * 3 * 4 * 8 * 8, dtype=np.uint16).reshape(2, 3, 4, 8, 8)
        metadata = {
            "axes": "TCZYX",
            "PhysicalSizeX": 250,
            "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": 0.3,
            "PhysicalSizeYUnit": "µm",
            "PhysicalSizeZ": 0.002,
            "PhysicalSizeZUnit": "mm",
        }
        image = read_image(save(tmp_path / "a.ome.tif", data, ome=True, metadata=metadata))
        assert (image.axes, image.name) == ("TCZYX", "a")
        assert image.spacing == pytest.approx({"X": 0.25, "Y": 0.3, "Z": 2.0})
        np.testing.assert_array_equal(image.data, data)

    @pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
    def test_axes_and_pixel_size_of_imagej(self, tmp_path, unit):
        metadata = {"axes": "ZYX", "unit": unit, "spacing": 1.5}
        path = save(
            tmp_path / "a.tif", STACK, imagej=True, resolution=(1 / 0.65, 2), metadata=metadata
        )
        image = read_image(path)
        assert image.axes == "ZYX"
        assert image.spacing == pytest.approx({"X": 0.65, "Y": 0.5, "Z": 1.5}, rel=1e-5)

    def test_imagej_in_pixels_has_no_pixel_size(self, tmp_path):
        metadata = {"axes": "ZYX", "unit": "pixel", "spacing": 1.5}
        path = save(tmp_path / "a.tif", STACK, imagej=True, resolution=(1, 1), metadata=metadata)
        assert read_image(path).spacing == {}

    @pytest.mark.parametrize(
        ("unit", "resolution", "expected"),
        [("CENTIMETER", 20000, 0.5), ("INCH", 50800, 0.5), ("INCH", 300, None), ("NONE", 2, None)],
    )
    def test_resolution_tags_unless_they_are_for_print(self, tmp_path, unit, resolution, expected):
        path = save(
            tmp_path / "a.tif", PLANE, resolution=(resolution, resolution), resolutionunit=unit
        )
        spacing = read_image(path).spacing
        assert spacing == ({} if expected is None else pytest.approx({"X": 0.5, "Y": 0.5}))

    def test_pages_without_names_are_a_stack_in_z(self, tmp_path):
        path = save(tmp_path / "a.tif", STACK, metadata=None)
        image = read_image(path)
        assert image.axes == "ZYX"
        np.testing.assert_array_equal(image.data, STACK)

    @pytest.mark.parametrize("planar", ["CONTIG", "SEPARATE"])
    def test_colour_pictures_have_their_samples_last(self, tmp_path, planar):
        data = COLOR if planar == "CONTIG" else np.moveaxis(COLOR, -1, 0)
        path = save(tmp_path / "a.tif", data, photometric="rgb", planarconfig=planar)
        image = read_image(path)
        assert image.axes == "YXS"
        np.testing.assert_array_equal(image.data, COLOR)

    def test_samples_that_are_not_colour_are_channels(self, tmp_path):
        data = RNG.integers(0, 9, (24, 32, 5)).astype(np.uint8)
        path = save(tmp_path / "a.tif", data, planarconfig="CONTIG")
        image = read_image(path)
        assert (image.axes, image.channel_count) == ("YXC", 5)

    def test_palettes_are_applied_but_for_imagej(self, tmp_path):
        index = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
        colors = np.zeros((3, 256), np.uint16)
        colors[:, 1], colors[:, 2] = (65535, 0, 0), (0, 65535, 257)
        path = save(tmp_path / "a.tif", index, photometric="palette", colormap=colors)
        image = read_image(path)
        assert image.axes == "YXS"
        assert image.data[0].tolist() == [[0, 0, 0], [255, 0, 0], [0, 255, 1]]
        np.testing.assert_array_equal(read_labels(path), index)
        imagej = save(tmp_path / "b.tif", index, imagej=True, colormap=colors[:, :256])
        np.testing.assert_array_equal(read_image(imagej).data, index)

    def test_grey_palettes_stay_grey(self, tmp_path):
        ramp = np.tile(np.arange(255, -1, -1, dtype=np.uint16) * 257, (3, 1))
        index = np.array([[0, 255]], np.uint8)
        path = save(tmp_path / "a.tif", index, photometric="palette", colormap=ramp)
        image = read_image(path)
        assert (image.axes, image.data.tolist()) == ("YX", [[255, 0]])

    def test_large_plain_files_are_mapped(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tiff, "LAZY_BYTES", 100)
        image = read_image(save(tmp_path / "a.tif", STACK, metadata={"axes": "ZYX"}))
        assert isinstance(image.data, np.memmap)
        np.testing.assert_array_equal(image.data, STACK)

    def test_large_compressed_files_are_read_piece_by_piece_and_closed(self, tmp_path, monkeypatch):
        zarr = pytest.importorskip("zarr")
        monkeypatch.setattr(tiff, "LAZY_BYTES", 100)
        path = save(tmp_path / "a.tif", STACK, compression="zlib", metadata={"axes": "ZYX"})
        image = read_image(path)
        assert isinstance(image.data, zarr.Array)
        assert image.axes == "ZYX"
        np.testing.assert_array_equal(image.read((3,), slice(2, 9), slice(0, 5)), STACK[3, 2:9, :5])
        del image
        gc.collect()  # an open file would be an unraisable ResourceWarning, which is an error
        path.unlink()

    def test_full_resolution_of_a_pyramid(self, tmp_path, monkeypatch):
        path = tmp_path / "a.tif"
        with tifffile.TiffWriter(path) as writer:
            options = {"photometric": "minisblack", "tile": (16, 16), "compression": "zlib"}
            writer.write(PLANE, subifds=1, **options)
            writer.write(PLANE[::2, ::2], subfiletype=1, **options)
        np.testing.assert_array_equal(read_image(path).data, PLANE)
        pytest.importorskip("zarr")
        monkeypatch.setattr(tiff, "LAZY_BYTES", 100)
        np.testing.assert_array_equal(read_image(path).data[...], PLANE)

    @pytest.mark.parametrize("tile", [(16, 16), None])
    def test_samples_of_a_large_colour_picture_that_lie_apart(self, tmp_path, monkeypatch, tile):
        path = tmp_path / "a.tif"
        whole = np.moveaxis(COLOR, -1, 0)
        options = {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"}
        with tifffile.TiffWriter(path) as writer:
            writer.write(whole, subifds=1, tile=tile, **options)
            writer.write(whole[:, ::2, ::2], subfiletype=1, tile=tile, **options)
        monkeypatch.setattr(tiff, "LAZY_BYTES", 100)
        image = read_image(path)
        assert not isinstance(image.data, np.ndarray)
        assert (image.axes, image.is_rgb, image.data.shape) == ("YXS", True, COLOR.shape)
        part = image.read((), slice(3, 9), slice(0, 5))
        np.testing.assert_array_equal(part, COLOR[3:9, :5])
        np.testing.assert_array_equal(np.asarray(image.coarse), COLOR[::2, ::2])
        monkeypatch.setattr(tiff, "find_spec", lambda name: name != "dask" or None)
        with pytest.raises(InputError, match=r"planar\) need Dask: pip install"):
            read_image(path)

    @pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"imagej": True}])
    @pytest.mark.parametrize("kept", [0.5, 0.97, 0.02])
    @pytest.mark.parametrize("lazy", [False, True])
    def test_truncated(self, tmp_path, monkeypatch, options, kept, lazy):
        if lazy:
            monkeypatch.setattr(tiff, "LAZY_BYTES", 100)
        path = save(tmp_path / "cut.tif", np.tile(STACK, (1, 3, 3)), **options)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * kept)])
        with pytest.raises(InputError, match=r"cut\.tif: .*truncated"):
            read_image(path)

    def test_garbage_inside(self, tmp_path):
        path = save(tmp_path / "bad.tif", STACK, compression="zlib", metadata=None)
        content = bytearray(path.read_bytes())
        content[300:1500] = bytes(1200)
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.tif"):
            read_image(path)


class TestPictures:
    @pytest.mark.parametrize(
        ("mode", "axes", "expected"),
        [
            ("L", "YX", "uint8"),
            ("1", "YX", "bool"),
            ("LA", "YX", "uint8"),
            ("RGB", "YXS", "uint8"),
            ("RGBA", "YXS", "uint8"),
            ("I;16", "YX", "uint16"),
        ],
    )
    def test_png_modes(self, tmp_path, mode, axes, expected):
        source = (
            Pillow.fromarray(PLANE) if mode == "I;16" else Pillow.fromarray(COLOR).convert(mode)
        )
        source.save(tmp_path / "a.png")
        image = read_image(tmp_path / "a.png")
        assert (image.axes, image.data.dtype) == (axes, np.dtype(expected))
        pixels = np.asarray(source)
        np.testing.assert_array_equal(image.data, pixels[..., 0] if mode == "LA" else pixels)

    def test_16_bit_colour_keeps_its_bits(self, tmp_path):
        imagecodecs = pytest.importorskip("imagecodecs")
        data = RNG.integers(0, 65535, (24, 32, 3)).astype(np.uint16)
        (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(data))
        image = read_image(tmp_path / "a.png")
        assert (image.axes, image.data.dtype) == ("YXS", np.uint16)
        np.testing.assert_array_equal(image.data, data)

    def test_palettes(self, tmp_path):
        picture = Pillow.fromarray(np.array([[0, 1], [1, 2]], np.uint8), mode="P")
        picture.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
        picture.save(tmp_path / "a.png")
        image = read_image(tmp_path / "a.png")
        assert image.axes == "YXS"
        assert image.data[0].tolist() == [[0, 0, 0], [255, 0, 0]]
        assert read_labels(tmp_path / "a.png").tolist() == [[0, 1], [1, 2]]
        picture.putpalette([9, 9, 9, 7, 7, 7, 5, 5, 5])
        picture.save(tmp_path / "b.png")
        assert read_image(tmp_path / "b.png").data.tolist() == [[9, 7], [7, 5]]

    def test_jpeg(self, tmp_path):
        Pillow.fromarray(COLOR).save(tmp_path / "a.JPG", format="JPEG")
        Pillow.fromarray(COLOR).convert("CMYK").save(tmp_path / "b.jpeg")
        assert read_image(tmp_path / "a.JPG").axes == "YXS"
        assert read_image(tmp_path / "b.jpeg").data.shape == (24, 32, 3)

    @pytest.mark.parametrize("suffix", [".png", ".jpg"])
    @pytest.mark.parametrize("kept", [5, 30, 0.6])
    def test_truncated(self, tmp_path, suffix, kept):
        path = tmp_path / f"cut{suffix}"
        Pillow.fromarray(COLOR).save(path)
        content = path.read_bytes()
        path.write_bytes(content[: kept if kept > 1 else int(len(content) * kept)])
        with pytest.raises(InputError, match=rf"cut\{suffix}: damaged"):
            read_image(path)

    def test_truncated_16_bit_colour(self, tmp_path):
        imagecodecs = pytest.importorskip("imagecodecs")
        content = imagecodecs.png_encode(RNG.integers(0, 65535, (24, 32, 3)).astype(np.uint16))
        (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
        with pytest.raises(InputError, match=r"cut\.png: damaged"):
            read_image(tmp_path / "cut.png")

    def test_too_many_pixels(self, tmp_path, monkeypatch):
        Pillow.fromarray(COLOR).save(tmp_path / "a.png")
        monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 500)
        assert read_image(tmp_path / "a.png").data.shape == (24, 32, 3)
        monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 300)
        with pytest.raises(InputError, match="save it as TIFF"):
            read_image(tmp_path / "a.png")


class TestNpy:
    def test_is_mapped_not_read(self, tmp_path):
        np.save(tmp_path / "a.npy", STACK)
        image = read_image(tmp_path / "a.npy")
        assert isinstance(image.data, np.memmap)
        assert (image.axes, image.name) == ("ZYX", "a")
        np.testing.assert_array_equal(image.data, STACK)

    @pytest.mark.parametrize(
        ("shape", "axes"),
        [
            ((6, 7), "YX"),
            ((6, 7, 3), "YXS"),
            ((2, 6, 7, 4), "ZYXS"),
            ((4, 3, 6, 7), "TZYX"),
            ((2, 4, 3, 6, 7), "TZCYX"),
            ((6, 2, 3), "ZYX"),
            ((0, 7), "YX"),
        ],
    )
    def test_axes_by_shape(self, tmp_path, shape, axes):
        np.save(tmp_path / "a.npy", np.zeros(shape, np.float32))
        image = read_image(tmp_path / "a.npy")
        assert (image.axes, image.data.shape) == (axes, shape)

    def test_pickles_are_never_opened(self, tmp_path):
        class Bomb:
            def __reduce__(self):
                return (Path.touch, (tmp_path / "boom",))

        (tmp_path / "a.npy").write_bytes(pickle.dumps(Bomb()))
        np.save(tmp_path / "b.npy", np.array([Bomb(), None], object), allow_pickle=True)
        for name, reason in (("a.npy", "without pickled"), ("b.npy", "array of numbers")):
            with pytest.raises(InputError, match=rf"{name}.*{reason}"):
                read_image(tmp_path / name)
        assert not (tmp_path / "boom").exists()

    @pytest.mark.parametrize("kept", [3, 7, 40, 0.7])
    def test_truncated(self, tmp_path, kept):
        np.save(tmp_path / "cut.npy", STACK)
        content = (tmp_path / "cut.npy").read_bytes()
        (tmp_path / "cut.npy").write_bytes(
            content[: kept if kept > 1 else int(len(content) * kept)]
        )
        with pytest.raises(InputError, match=r"cut\.npy"):
            read_image(tmp_path / "cut.npy")

    @pytest.mark.parametrize("dtype", ["c8", "S3", "M8[s]", [("a", "u1")]])
    def test_what_is_no_number(self, tmp_path, dtype):
        np.save(tmp_path / "a.npy", np.zeros((6, 7), dtype))
        with pytest.raises(InputError, match=r"a\.npy"):
            read_image(tmp_path / "a.npy")


class TestZarr:
    @pytest.fixture(autouse=True)
    def _zarr(self):
        self.zarr = pytest.importorskip("zarr")

    @pytest.mark.parametrize("version", [2, 3])
    def test_array(self, tmp_path, version):
        array = self.zarr.create_array(
            str(tmp_path / "a.zarr"), data=STACK, chunks=(1, 12, 12), zarr_format=version
        )
        assert array.metadata.zarr_format == version
        image = read_image(tmp_path / "a.zarr")
        assert (image.axes, image.name) == ("ZYX", "a")
        np.testing.assert_array_equal(image.data[...], STACK)

    def test_names_of_dimensions(self, tmp_path):
        self.zarr.create_array(
            str(tmp_path / "a"), data=STACK, zarr_format=3, dimension_names=["time", "y", "x"]
        )
        assert read_image(tmp_path / "a").axes == "TYX"

    @pytest.mark.parametrize("version", [2, 3])
    def test_ome_zarr(self, tmp_path, version):
        group = self.zarr.open_group(str(tmp_path / "a.ome.zarr"), mode="w", zarr_format=version)
        data = np.stack([STACK, STACK + 1])
        group.create_array("full", data=data)
        group.create_array("half", data=data[..., ::2, ::2])
        axes = [{"name": "c", "type": "channel"}]
        axes += [{"name": a, "type": "space", "unit": "nanometer"} for a in "zyx"]
        multiscale = {
            "axes": axes,
            "datasets": [
                {
                    "path": "full",
                    "coordinateTransformations": [{"type": "scale", "scale": [1, 1000, 130, 65]}],
                },
                {"path": "half"},
            ],
            "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 2, 2]}],
        }
        if version == 2:
            group.attrs["multiscales"] = [{**multiscale, "version": "0.4"}]
        else:
            group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
        image = read_image(tmp_path / "a.ome.zarr")
        assert (image.axes, image.name) == ("CZYX", "a")
        assert image.spacing == pytest.approx({"Z": 1.0, "Y": 0.26, "X": 0.13})
        np.testing.assert_array_equal(image.data[...], data)

    def test_oldest_ome_zarr_has_no_axes(self, tmp_path):
        group = self.zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
        group.create_array("0", data=STACK[np.newaxis, np.newaxis])
        group.attrs["multiscales"] = [{"datasets": [{"path": "0"}], "version": "0.1"}]
        assert read_image(tmp_path / "a.zarr").axes == "TCZYX"

    def test_layout_of_bioformats2raw(self, tmp_path):
        group = self.zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
        group.attrs["bioformats2raw.layout"] = 3
        inner = group.create_group("0")
        inner.create_array("0", data=PLANE)
        inner.attrs["multiscales"] = [{"axes": ["y", "x"], "datasets": [{"path": "0"}]}]
        assert read_image(tmp_path / "a.zarr").axes == "YX"

    def test_groups_that_are_not_one_image(self, tmp_path):
        group = self.zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
        with pytest.raises(InputError, match="nothing in it"):
            read_image(tmp_path / "a.zarr")
        group.create_array("one", data=PLANE)
        assert read_image(tmp_path / "a.zarr").axes == "YX"
        group.create_array("two", data=PLANE)
        with pytest.raises(InputError, match=r"a\.zarr: .*one, two; name the array"):
            read_image(tmp_path / "a.zarr")

    def test_damaged_metadata(self, tmp_path):
        self.zarr.create_array(str(tmp_path / "a.zarr"), data=PLANE, zarr_format=3)
        (tmp_path / "a.zarr" / "zarr.json").write_text("{")
        with pytest.raises(InputError, match=r"a\.zarr: damaged"):
            read_image(tmp_path / "a.zarr")


def test_axes_of_the_user_win(tmp_path):
    np.save(tmp_path / "a.npy", STACK)
    assert read_image(tmp_path / "a.npy", "cyx").axes == "CYX"
    with pytest.raises(InputError, match=r"a\.npy: .*one axis letter for each of 3 dimensions"):
        read_image(tmp_path / "a.npy", "YX")
    with pytest.raises(InputError, match=r"a\.npy: .*each letter once"):
        read_image(tmp_path / "a.npy", "YYX")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("no.tif", None, "no such file"),
        ("empty.tif", b"", "empty"),
        ("text.tif", b"hello, world", "damaged"),
        ("text.png", b"hello, world", "damaged"),
        ("text.npy", b"hello, world", "numpy.save"),
        ("text.txt", b"hello, world", "unknown kind of file; expected one of .tif"),
    ],
)
def test_files_that_are_no_images(tmp_path, name, content, reason):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: .*{reason}"):
        read_image(str(tmp_path / name))


def test_folders_are_no_images(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_image(tmp_path)
    assert not is_image(tmp_path)
    assert is_image(tmp_path / "a.TIFF")
    assert not is_image(tmp_path / "._a.tif")


def test_stems(tmp_path):
    names = {"a.tif": "a", "a.b.ome.tiff": "a.b", "x.ome.zarr": "x", "noext": "noext"}
    assert {name: stem_of(Path(name)) for name in names} == names


class TestWriteLabels:
    @pytest.mark.parametrize(
        ("high", "dtype"), [(1, "uint16"), (65535, "uint16"), (65536, "uint32"), (2**31, "uint32")]
    )
    @pytest.mark.parametrize("axes", ["YX", "ZYX", "TYX", "TZYX"])
    def test_round_trip(self, tmp_path, high, dtype, axes):
        shape = (2, 3, 8, 9)[-len(axes) :]
        labels = np.zeros(shape, np.int64)
        labels[..., 2:4, 5] = high
        labels[..., 0, 0] = 1
        spacing = {"X": 0.25, "Y": 0.5, "Z": 2.0}
        assert write_labels(tmp_path / "a.tif", labels, axes, spacing) == tmp_path / "a.tif"
        image = read_image(tmp_path / "a.tif")
        assert (image.axes, str(image.data.dtype)) == (axes, dtype)
        np.testing.assert_array_equal(image.data, labels)
        expected = {a: s for a, s in spacing.items() if a in axes}
        assert image.spacing == pytest.approx(expected, rel=1e-5)

    def test_what_imagej_needs(self, tmp_path):
        labels = np.ones((3, 8, 9), np.int32)
        write_labels(tmp_path / "a.tif", labels, "ZYX", {"X": 0.25, "Y": 0.25, "Z": 2.0})
        with tifffile.TiffFile(tmp_path / "a.tif") as tif:
            assert tif.is_imagej
            assert not tif.is_bigtiff
            assert tif.imagej_metadata["slices"] == 3
            assert tif.imagej_metadata["unit"] == "um"
            assert tif.imagej_metadata["spacing"] == 2.0
            page = tif.pages.first
            assert page.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
            assert page.photometric == tifffile.PHOTOMETRIC.MINISBLACK
            assert not page.is_tiled

    def test_is_small(self, tmp_path):
        labels = np.zeros((1000, 1000), np.int32)
        labels[100:300, 100:300] = 7
        write_labels(tmp_path / "a.tif", labels, "YX")
        assert (tmp_path / "a.tif").stat().st_size < 20_000

    def test_without_a_pixel_size(self, tmp_path):
        write_labels(tmp_path / "a.tif", np.ones((8, 9), np.int32), "YX")
        assert read_image(tmp_path / "a.tif").spacing == {}

    def test_order_and_odd_axes(self, tmp_path):
        labels = np.arange(2 * 3 * 4 * 5, dtype=np.int32).reshape(2, 3, 4, 5)
        write_labels(tmp_path / "a.tif", labels, "ZTYX")
        image = read_image(tmp_path / "a.tif")
        assert image.axes == "TZYX"
        np.testing.assert_array_equal(image.data, labels.swapaxes(0, 1))
        write_labels(tmp_path / "b.tif", labels, "PZYX", {"X": 0.5})
        image = read_image(tmp_path / "b.tif")
        assert (image.axes, image.spacing) == ("PZYX", pytest.approx({"X": 0.5, "Y": 0.5}))
        np.testing.assert_array_equal(image.data, labels)

    @pytest.mark.parametrize(
        ("values", "reason"),
        [([[-1, 0]], "labels from 0 on"), ([[2**32, 0]], "TIFF holds labels up to")],
    )
    def test_values_out_of_range(self, tmp_path, values, reason):
        with pytest.raises(InputError, match=reason):
            write_labels(tmp_path / "a.tif", np.array(values), "YX")
        assert list(tmp_path.iterdir()) == []

    def test_axes_that_do_not_fit(self, tmp_path):
        with pytest.raises(InputError, match="one axis letter"):
            write_labels(tmp_path / "a.tif", np.zeros((3, 4), np.int32), "ZYX")

    def test_failing_leaves_the_old_file(self, tmp_path, monkeypatch):
        path = write_labels(tmp_path / "a.tif", np.ones((3, 4), np.int32), "YX")
        before = path.read_bytes()

        def half_way(target, *args, **options):
            Path(target).write_bytes(b"half")
            raise OSError("no space left on device")

        monkeypatch.setattr(tifffile, "imwrite", half_way)
        with pytest.raises(OSError, match="no space"):
            write_labels(path, np.zeros((3, 4), np.int32), "YX")
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


class TestReadLabels:
    def test_types(self, tmp_path):
        for dtype in ("bool", "u1", "i4", "f4"):
            np.save(tmp_path / "a.npy", np.eye(6, dtype=dtype))
            labels = read_labels(tmp_path / "a.npy")
            assert labels.dtype == np.int64
            np.testing.assert_array_equal(labels, np.eye(6))

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (np.full((6, 6), 0.5), "whole numbers"),
            (np.full((6, 6), -1), "labels from 0"),
            (np.zeros((6, 6, 3), np.uint8), "colour picture"),
        ],
    )
    def test_what_is_no_label_image(self, tmp_path, data, reason):
        np.save(tmp_path / "a.npy", data)
        with pytest.raises(InputError, match=rf"a\.npy: .*{reason}"):
            read_labels(tmp_path / "a.npy")
