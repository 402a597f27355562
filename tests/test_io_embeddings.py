"""The store of embeddings: what goes in comes out, damage does not, and it stays small."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_instseg.io.embeddings import EmbeddingCache
from napari_instseg.promptable import Embedding

RNG = np.random.default_rng(0)


def key(number: int) -> str:
    return f"{number:064x}"


def embedding(number: int = 0, size: int = 8) -> Embedding:
    arrays = (np.full((2, size, size), number, np.float32), RNG.normal(size=(1, 4, 4)))
    return Embedding(arrays, (30 + number, 40), "ab" * 32)


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "embeddings")


def test_what_goes_in_comes_out_as_float16(cache):
    given = embedding(3)
    assert cache.get(key(1)) is None
    assert cache.put(key(1), given)
    found = cache.get(key(1))
    assert found.picture_shape == (33, 40)
    assert found.model == given.model
    assert [array.dtype for array in found.arrays] == [np.float16] * 2
    for a, b in zip(found.arrays, given.half().arrays, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_entry_is_zarr_3_with_checksums(cache):
    import zarr

    cache.put(key(1), embedding())
    (entry,) = cache.folder.glob("*/*")
    array = zarr.open_group(str(entry), mode="r")["0"]
    assert array.metadata.zarr_format == 3
    assert "crc32c" in str(array.metadata.codecs).lower()


def test_zeros_are_kept_too(cache):
    assert cache.put(key(1), Embedding((np.zeros((1, 4, 4), np.float32),), (4, 4), "m"))
    assert not cache.get(key(1)).arrays[0].any()


def test_numbers_that_are_not_finite_are_refused(cache):
    bad = Embedding((np.full((1, 2, 2), np.nan, np.float32),), (4, 4), "m")
    with pytest.raises(ValueError, match="finite"):
        cache.put(key(1), bad)
    assert cache.info().count == 0


def damage(path: Path, way: str) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    if way == "flipped":
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
    elif way == "cut":
        path.write_bytes(content[:middle])
    elif way == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


@pytest.mark.parametrize("way", ["flipped", "cut", "empty", "gone"])
@pytest.mark.parametrize("name", ["0/c/0/0/0", "1/c/0/0/0", "0/zarr.json", "zarr.json"])
def test_a_damaged_entry_is_none_and_removed(cache, name, way):
    cache.put(key(1), embedding())
    (entry,) = cache.folder.glob("*/*")
    damage(entry / name, way)
    found = cache.get(key(1))
    if found is not None:
        # A blank in the JSON, or such: what matters is whole.
        np.testing.assert_array_equal(found.arrays[0], embedding().half().arrays[0])
        return
    assert not entry.exists()
    assert cache.put(key(1), embedding())
    assert cache.get(key(1)) is not None


def test_no_flipped_bit_gives_another_embedding(cache, tmp_path):
    given = Embedding((RNG.normal(size=(1, 2, 2)),), (9, 9), "m")
    cache.put(key(1), given)
    expected = cache.get(key(1))
    files = sorted(p for p in cache.folder.rglob("*") if p.is_file())
    for path in files:
        content = path.read_bytes()
        for place in range(0, len(content), 23):
            other = EmbeddingCache(tmp_path / "other")
            shutil.rmtree(other.folder, ignore_errors=True)
            shutil.copytree(cache.folder, other.folder)
            flipped = bytes([content[place] ^ (1 << place % 8)])
            target = other.folder / path.relative_to(cache.folder)
            target.write_bytes(content[:place] + flipped + content[place + 1 :])
            found = other.get(key(1))
            if found is not None:
                np.testing.assert_array_equal(found.arrays[0], expected.arrays[0])
                assert (found.picture_shape, found.model) == ((9, 9), "m")


def test_the_least_recently_used_go_first(tmp_path):
    probe = EmbeddingCache(tmp_path / "probe")
    probe.put(key(0), embedding())
    size = probe.info().size
    cache = EmbeddingCache(tmp_path / "embeddings", limit_bytes=int(size * 4.5))
    for number in range(4):
        cache.put(key(number), embedding())
        (entry,) = cache.folder.glob(f"*/{key(number)}")
        os.utime(entry, (number, number))
    cache.get(key(0))
    cache.put(key(9), embedding())
    assert key(0) in cache
    assert key(9) in cache
    assert key(1) not in cache
    assert cache.info().size <= cache.limit_bytes


def test_the_limit_holds_over_many_writes(tmp_path):
    cache = EmbeddingCache(tmp_path, limit_bytes=20_000)
    for number in range(30):
        assert cache.put(key(number), embedding(number))
        assert cache.info().size <= 20_000
    assert cache.info().count > 3


def test_what_is_larger_than_the_limit_is_not_kept(tmp_path):
    cache = EmbeddingCache(tmp_path, limit_bytes=100)
    assert not cache.put(key(1), embedding(size=64))
    assert cache.info().count == 0
    assert not EmbeddingCache(tmp_path, limit_bytes=0).put(key(1), embedding())


def test_info_and_clear(cache):
    assert cache.info().count == 0
    for number in range(3):
        cache.put(key(number), embedding(number))
    info = cache.info()
    assert info.count == 3
    assert info.size > 3 * (2 * 64 + 16) * 2
    assert cache.clear() == info
    assert cache.info().count == 0
    assert [p for p in cache.folder.rglob("*") if p.is_file()] == []


def test_a_half_done_write_is_no_entry_and_goes_with_time(cache):
    left = cache.folder / "partial-1-2"
    left.mkdir(parents=True)
    (left / "zarr.json").write_text("{}")
    assert cache.info().count == 0
    cache.trim()
    assert left.exists()
    os.utime(left, (0, 0))
    cache.trim()
    assert not left.exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    cache = EmbeddingCache(tmp_path / "embeddings")
    try:
        assert not cache.put(key(1), embedding())
        assert "cannot be kept" in cache.problem
    finally:
        tmp_path.chmod(stat.S_IRWXU)


def test_a_full_disk_stops_nothing(cache, monkeypatch):
    import zarr

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zarr, "open_group", full)
    assert not cache.put(key(1), embedding())
    assert "No space left on device" in cache.problem
    assert list(cache.folder.glob("*")) == []
    monkeypatch.undo()
    assert not cache.put(key(1), embedding())


def test_a_file_in_the_folders_place_stops_nothing(tmp_path):
    (tmp_path / "embeddings").write_text("not a folder")
    cache = EmbeddingCache(tmp_path / "embeddings")
    assert cache.get(key(1)) is None
    assert not cache.put(key(1), embedding())
    assert str(cache.folder) in cache.problem
    assert cache.info().count == 0


WORKER = """
import sys
import numpy as np
from napari_instseg.io.embeddings import EmbeddingCache
from napari_instseg.promptable import Embedding

cache = EmbeddingCache(sys.argv[1], limit_bytes=30_000)
for turn in range(40):
    number = (turn * 7 + int(sys.argv[2])) % 12
    given = Embedding((np.full((2, 16, 16), number, np.float32),), (number, 40), "m")
    found = cache.get(f"{number:064x}")
    if found is not None:
        assert found.picture_shape == (number, 40), found.picture_shape
        assert (found.arrays[0] == number).all(), number
    cache.put(f"{number:064x}", given)
    assert not cache.problem, cache.problem
"""


def test_two_processes_share_a_folder(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path), str(number)],
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for number in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
    cache = EmbeddingCache(tmp_path)
    assert cache.info().count > 0
    assert cache.info().size < 2 * 30_000
    assert not list(tmp_path.glob("partial-*"))


def test_importing_it_does_not_import_zarr():
    code = "import sys, napari_instseg.io.embeddings; sys.exit('zarr' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
