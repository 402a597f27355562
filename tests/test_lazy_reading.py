"""What is read from disk for a part of an image: the chunks under it, and no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dask.array
import numpy as np
import pytest
import tifffile
import tifffile.zarr
import zarr
from helpers import ComponentSegmenter
from zarr.storage import LocalStore

from napari_instseg.io import tiff
from napari_instseg.io.images import read_image
from napari_instseg.ops import sampling
from napari_instseg.ops.axes import Image
from napari_instseg.ops.intensity import map_intensity
from napari_instseg.ops.sampling import SAMPLE_PLANES
from napari_instseg.pipeline import Run
from napari_instseg.prompting.image_views import ImageViews
from napari_instseg.segmenter import InputError
from napari_instseg.settings import Settings

SHAPE, CHUNK = (3, 64, 64), 16
RNG = np.random.default_rng(0)
STACK = RNG.integers(1, 1000, SHAPE).astype(np.uint16)
METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")


def ome_zarr(path: Path, version: int) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=version)
    levels = {"full": STACK, "half": STACK[:, ::2, ::2]}
    for name, data in levels.items():
        group.create_array(name, data=data, chunks=(1, CHUNK, CHUNK))
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    multiscales = [{"axes": axes, "datasets": [{"path": name} for name in levels]}]
    if version == 2:
        group.attrs["multiscales"] = [{**multiscales[0], "version": "0.4"}]
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}


def plain_zarr(path: Path, version: int) -> None:
    zarr.create_array(path, data=STACK, chunks=(1, CHUNK, CHUNK), zarr_format=version)


def sharded_zarr(path: Path) -> None:
    zarr.create_array(path, data=STACK, chunks=(1, CHUNK, CHUNK), shards=(1, 64, 64))


def pages(path: Path) -> None:
    options = {"rowsperstrip": CHUNK, "compression": "zlib", "metadata": {"axes": "ZYX"}}
    tifffile.imwrite(path, STACK, ome=True, photometric="minisblack", **options)


def tiles(path: Path, compression: str | None = "zlib") -> None:
    """With a pyramid, as slide scanners write it."""
    options = {"tile": (CHUNK, CHUNK), "photometric": "minisblack", "compression": compression}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(STACK, subifds=1, metadata={"axes": "ZYX"}, **options)
        writer.write(STACK[:, ::2, ::2], subfiletype=1, **options)


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "OME-Zarr 0.4": (lambda path: ome_zarr(path, 2), "a.ome.zarr"),
    "OME-Zarr 0.5": (lambda path: ome_zarr(path, 3), "a.ome.zarr"),
    "Zarr 2": (lambda path: plain_zarr(path, 2), "a.zarr"),
    "Zarr 3": (lambda path: plain_zarr(path, 3), "a.zarr"),
    "OME-TIFF in strips": (pages, "a.ome.tif"),
    "OME-TIFF in tiles": (tiles, "a.ome.tif"),
    "OME-TIFF in tiles, uncompressed": (lambda path: tiles(path, None), "a.ome.tif"),
}


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """Keys of the chunks that are read, from Zarr folders and from TIFF files."""
    keys: list[str] = []

    def watch(store: type) -> None:
        get = store.get

        async def watched(self, key, *args, **kwargs):
            if not key.endswith(METADATA):
                keys.append(key)
            return await get(self, key, *args, **kwargs)

        monkeypatch.setattr(store, "get", watched)

    watch(LocalStore)
    watch(tifffile.zarr.ZarrTiffStore)
    return keys


def index_of(key: str) -> tuple[int, ...]:
    """Index of a chunk: the last numbers of its key, however they are joined."""
    return tuple(int(part) for part in key.replace("/", ".").split(".")[-3:])


@pytest.mark.parametrize("kind", KINDS)
class TestOneImage:
    @pytest.fixture
    def image(self, tmp_path, monkeypatch, kind, read) -> Image:
        monkeypatch.setattr(tiff, "LAZY_BYTES", 0)
        make, name = KINDS[kind]
        make(tmp_path / name)
        read.clear()
        opened = read_image(tmp_path / name)
        assert opened.axes == "ZYX"
        # Opening reads no pixel.
        assert read == []
        return opened

    def test_a_tile(self, image, read):
        part = image.read((1,), slice(17, 32), slice(30, 40))
        np.testing.assert_array_equal(part, STACK[1, 17:32, 30:40])
        across = 1 if image.data.chunks[-1] == SHAPE[-1] else 2
        assert sorted(map(index_of, read)) == [(1, 1, c) for c in ((0,) if across == 1 else (1, 2))]

    def test_a_plane(self, image, read):
        np.testing.assert_array_equal(image.read((2,), slice(0, 64), slice(0, 64)), STACK[2])
        chunk = image.data.chunks
        assert {index_of(key)[0] for key in read} == {2}
        assert len(read) == len(set(read)) == np.prod(np.divide(SHAPE[1:], chunk[1:]))

    def test_a_run_over_a_region_of_a_plane(self, image, read):
        settings = Settings(limits=((0, 2000),), tile_size=64, overlap=0)
        region = slice(32, 48), slice(16, 64)
        run = Run(image, ComponentSegmenter(), settings, region=region, planes=[(0,)])
        for _ in run:
            pass
        assert {index_of(key)[:2] for key in read} == {(0, 2)}
        assert {index_of(key)[2] for key in read} <= {0, 1, 2, 3}
        if image.data.chunks[-1] == CHUNK:
            assert {index_of(key)[2] for key in read} == {1, 2, 3}
            assert len(read) == 3


def test_of_a_shard_only_the_chunk(tmp_path, monkeypatch):
    sharded_zarr(tmp_path / "a.zarr")
    ranges = []
    get = LocalStore.get

    async def watched(self, key, prototype, byte_range=None):
        found = await get(self, key, prototype, byte_range)
        if not key.endswith(METADATA):
            ranges.append(len(found))
        return found

    monkeypatch.setattr(LocalStore, "get", watched)
    image = read_image(tmp_path / "a.zarr")
    part = image.read((1,), slice(0, 16), slice(0, 16))
    np.testing.assert_array_equal(part, STACK[1, :16, :16])
    # The index of 16 chunks (16 bytes each, and a checksum), and one chunk.
    assert ranges[0] == 16 * 16 + 4
    assert len(ranges) == 2
    assert ranges[1] <= CHUNK * CHUNK * 2 + 64


@pytest.mark.parametrize("wrap", [lambda array: array, dask.array.from_zarr])
def test_channels_between_those_that_are_used(tmp_path, read, wrap):
    data = RNG.integers(0, 99, (6, 32, 32)).astype(np.uint8)
    array = zarr.create_array(tmp_path / "a.zarr", data=data, chunks=(1, 32, 32))
    image = Image(wrap(array), "CYX")
    read.clear()
    part = image.read((), slice(0, 8), slice(0, 8), (5, 0))
    np.testing.assert_array_equal(part, data[[5, 0], :8, :8].transpose(1, 2, 0))
    assert sorted(map(index_of, read)) == [(0, 0, 0), (5, 0, 0)]


def test_channels_that_share_chunks_are_read_once(tmp_path, read):
    data = RNG.integers(0, 99, (6, 32, 32)).astype(np.uint8)
    array = zarr.create_array(tmp_path / "a.zarr", data=data, chunks=(6, 32, 32))
    part = Image(array, "CYX").read((), slice(0, 8), slice(0, 8), (5, 0))
    np.testing.assert_array_equal(part, data[[5, 0], :8, :8].transpose(1, 2, 0))
    assert len(read) == 1


def test_intensities_are_measured_on_a_few_planes(tmp_path, read):
    data = RNG.integers(0, 99, (40, 32, 32)).astype(np.uint8)
    array = zarr.create_array(tmp_path / "a.zarr", data=data, chunks=(1, 32, 32))
    map_intensity(Image(array, "TYX"), Settings())
    assert len(read) == len(set(read)) == SAMPLE_PLANES


class TestIntensitiesOfLargeImages:
    """Of more than a few pixels in chunks, some blocks are read, whatever asks for them."""

    EDGE = 8192

    def array(self, path: Path, chunk: int) -> zarr.Array:
        """8192² px, of which nothing is stored: what is asked for counts."""
        shape = (self.EDGE, self.EDGE)
        return zarr.create_array(path, shape=shape, chunks=(chunk, chunk), dtype=np.uint8)

    @pytest.mark.parametrize(("chunk", "blocks"), [(256, 256), (1024, 32), (2048, 8)])
    @pytest.mark.parametrize("prompts", [False, True])
    def test_a_part_of_the_chunks_is_read(self, tmp_path, read, chunk, blocks, prompts):
        image = Image(self.array(tmp_path / "a.zarr", chunk), "YX")
        read.clear()
        if prompts:
            # What a dock does at Start.
            ImageViews(image, Settings())
        else:
            map_intensity(image, Settings())
        assert len(read) == len(set(read)) == blocks
        assert blocks <= (self.EDGE // chunk) ** 2 / 2

    def test_dask_reads_the_same(self, tmp_path, read):
        array = self.array(tmp_path / "a.zarr", 1024)
        read.clear()
        map_intensity(Image(array, "YX"), Settings())
        chunks = sorted(read)
        read.clear()
        map_intensity(Image(dask.array.from_zarr(array), "YX"), Settings())
        assert sorted(read) == chunks

    def test_fixed_limits_read_nothing(self, tmp_path, read):
        image = Image(self.array(tmp_path / "a.zarr", 1024), "YX")
        read.clear()
        ImageViews(image, Settings(limits=((0, 255),)))
        assert read == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_files_of_every_kind(self, tmp_path, read, monkeypatch, kind):
        """With limits so low that small files are large: half of their chunks, whole."""
        monkeypatch.setattr(tiff, "LAZY_BYTES", 0)
        for name in ("FEW_PIXELS", "BLOCK_PIXELS"):
            monkeypatch.setattr(sampling, name, 1)
        make, name = KINDS[kind]
        make(tmp_path / name)
        image = read_image(tmp_path / name)
        # A level that is small enough to look at tells where to read.
        assert (image.coarse is None) == (kind in ("Zarr 2", "Zarr 3", "OME-TIFF in strips"))
        if image.coarse is not None:
            assert image.coarse.shape == (3, 32, 32)
        monkeypatch.setattr(sampling, "FEW_PIXELS", 3 * 32 * 32)
        read.clear()
        ((low, high),) = map_intensity(image, Settings(percentiles=(0, 100))).limits
        assert STACK.min() <= low < high <= STACK.max()
        fine = np.prod(np.ceil(np.divide(SHAPE, image.data.chunks)))
        coarse = 0 if image.coarse is None else np.prod(np.divide((3, 32, 32), (1, 16, 16)))
        assert len(read) <= fine / 2 + coarse
        assert len(read) >= fine / 2 - 1


def test_a_damaged_tile_of_a_tiff_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "slide.tif"
    options = {"compression": "zlib", "photometric": "minisblack"}
    tifffile.imwrite(path, STACK, tile=(CHUNK, CHUNK), **options)
    with tifffile.TiffFile(path) as tif:
        begin, count = tif.pages[0].dataoffsets[5], tif.pages[0].databytecounts[5]
    content = bytearray(path.read_bytes())
    content[begin : begin + count] = bytes(count)
    path.write_bytes(content)
    monkeypatch.setattr(tiff, "LAZY_BYTES", 0)
    image = read_image(path)
    assert image.read((0,), slice(0, CHUNK), slice(0, CHUNK)).shape == (CHUNK, CHUNK)
    with pytest.raises(InputError, match=r"slide: a part of the image cannot be read \("):
        image.read((0,), slice(0, 64), slice(0, 64))
