"""On a real GPU: the same objects as on the CPU, memory that is bounded and given back."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as Picture

import napari_instseg as nis
from napari_instseg.cli import main
from napari_instseg.evaluation import match_labels
from napari_instseg.models import prompters, registry
from napari_instseg.ops.axes import Image
from napari_instseg.pipeline import Run, run_to_end
from napari_instseg.prompting import PromptSession
from napari_instseg.segmenter import DeviceMemoryError
from napari_instseg.settings import Settings

SAMPLE = Path(nis.__file__).parent / "data" / "fluorescence.png"
ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("NAPARI_INSTSEG_DATA") or ROOT.parent / "shared" / "data" / "dsb2018")
MIB = 1 << 20


@pytest.fixture(autouse=True)
def empty_gpu() -> Iterator[None]:
    """Nothing of an earlier test stays on the GPU."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def gray() -> NDArray[np.uint8]:
    with Picture.open(SAMPLE) as picture:
        return np.asarray(picture.convert("L"))


def large(side: int) -> NDArray[np.uint8]:
    """The sample image, repeated."""
    picture = gray()
    times = [-(-side // length) for length in picture.shape]
    return np.tile(picture, times)[:side, :side]


def quality(expected: NDArray[np.int32], labels: NDArray[np.int32]) -> float:
    return match_labels(expected, labels, [0.5]).matches[0.5].panoptic_quality


def segment(image: NDArray[np.uint8], device: str, **settings: object) -> nis.Segmentation:
    return nis.segment(image, device=device, progress=False, **settings)


@pytest.mark.parametrize(("precision", "least"), [("float32", 0.999), ("auto", 0.98)])
def test_the_same_objects_as_on_the_cpu(precision: str, least: float) -> None:
    on_cpu = segment(gray(), "cpu")
    on_gpu = segment(gray(), "cuda", precision=precision)
    assert on_cpu.count > 30
    assert quality(on_cpu.instances, on_gpu.instances) >= least
    assert torch.cuda.get_device_name() in on_gpu.recipe["resolved"]["device"]


@pytest.mark.skipif(not (DATA / "val" / "images").is_dir(), reason=f"no 'val/images' in {DATA}")
def test_held_out_fields_of_all_kinds() -> None:
    """Half precision changes hardly an object of real fields."""
    model = {device: nis.load_model("nuclei", device=device) for device in ("cpu", "cuda")}
    qualities = []
    for path in sorted((DATA / "val" / "images").glob("*.png"))[::4]:
        with Picture.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        labels = [nis.segment(pixels, model=m, progress=False).instances for m in model.values()]
        if labels[0].any():
            qualities.append(quality(*labels))
    assert len(qualities) > 10
    assert np.mean(qualities) >= 0.97


@pytest.mark.parametrize("precision", ["float32", "half"])
def test_twice_the_same_labels(precision: str) -> None:
    first, second = (segment(large(1500), "cuda", precision=precision) for _ in range(2))
    assert np.array_equal(first.instances, second.instances)


def test_memory_of_the_gpu_does_not_grow_with_the_picture() -> None:
    peaks = []
    for side in (2048, 6144):
        torch.cuda.reset_peak_memory_stats()
        # 4 tiles, then 36, of one shape: all batches are full.
        assert segment(large(side), "cuda", tile_size=1024, overlap=0).count > 0
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[1] <= 1.15 * peaks[0]


def test_memory_of_the_gpu_is_given_back() -> None:
    before = torch.cuda.memory_allocated()
    segment(gray(), "cuda")
    session = PromptSession(gray(), prompters.load("sam-nuclei", "cuda"), cache=False)
    session.segment([[(100, 100)]])
    del session
    gc.collect()
    assert torch.cuda.memory_allocated() <= before + MIB


def limit_memory(mib: float) -> None:
    """Let torch have so much more than it has now."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + mib * MIB) / total)


def needed(model: nis.models.entry.LoadedModel, count: int, side: int) -> float:
    """MiB that a batch of tiles takes."""
    tile = np.repeat(large(side)[..., None], 3, axis=2).astype(np.float32) / 255
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    model.segmenter.segment([tile] * count)
    return (torch.cuda.max_memory_allocated() - before) / MIB


def enough_for(model: nis.models.entry.LoadedModel, side: int) -> float:
    """MiB with which one tile can be segmented, and four at a time cannot."""
    tile = np.repeat(large(side)[..., None], 3, axis=2).astype(np.float32) / 255
    mib = needed(model, 4, side)
    while True:
        # Less than was needed may do, with other algorithms.
        mib *= 0.8
        limit_memory(mib)
        try:
            model.segmenter.segment([tile] * 4)
        except DeviceMemoryError:
            model.segmenter.segment([tile])
            return mib


def test_out_of_memory_takes_fewer_tiles_at_a_time() -> None:
    model = registry.load("nuclei", "cuda", precision="float32")
    settings = Settings(tile_size=1024, overlap=0, batch_size=4, limits=((0, 255),))
    limit_memory(enough_for(model, 1024))
    result = run_to_end(Run(Image(large(2048), "YX"), model.segmenter, settings))
    torch.cuda.set_per_process_memory_fraction(1.0)
    assert any("at a time" in text for text in result.warnings)
    whole = run_to_end(Run(Image(large(2048), "YX"), model.segmenter, settings))
    assert quality(whole.instances, result.instances) >= 0.999


def test_out_of_memory_for_one_tile_takes_smaller_tiles() -> None:
    model = registry.load("nuclei", "cuda", precision="float32")
    settings = Settings(tile_size=2048, batch_size=1, limits=((0, 255),))
    small, tile = needed(model, 1, 512), needed(model, 1, 2048)
    run = Run(Image(large(2048), "YX"), model.segmenter, settings)
    limit_memory(min(small * 3, (small + tile) / 2))
    result = run_to_end(run)
    assert any("tiles were made smaller" in text for text in result.warnings)
    assert result.count > 100


def test_a_gpu_that_has_nothing_left_is_named() -> None:
    model = registry.load("nuclei", "cuda", precision="float32")
    run = Run(Image(gray(), "YX"), model.segmenter, Settings())
    limit_memory(1)
    with pytest.raises(DeviceMemoryError, match=torch.cuda.get_device_name()):
        run_to_end(run)


def test_a_run_can_be_left_at_any_batch() -> None:
    model = registry.load("nuclei", "cuda")
    calls = 0
    find = model.segmenter.segment

    def counted(tiles: object) -> object:
        nonlocal calls
        calls += 1
        return find(tiles)

    model.segmenter.segment = counted  # type: ignore[method-assign]
    settings = Settings(tile_size=512, batch_size=2, limits=((0, 255),))
    run = Run(Image(large(3000), "YX"), model.segmenter, settings)
    for progress in run:
        if progress.done >= 6:
            break
    assert calls == 3
    assert run.result().count > 0
    assert not run.result().complete


@pytest.mark.parametrize(("precision", "least"), [("float32", 0.98), ("half", 0.9)])
def test_prompts_give_the_same_masks(precision: str, least: float) -> None:
    """An ambiguous click may get another candidate for a rounding error."""
    where = [[(r, c)] for r in range(60, 400, 80) for c in range(60, 400, 80)]
    found = []
    for device, how in (("cpu", "float32"), ("cuda", precision)):
        model = prompters.load("sam-nuclei", device, precision=how)
        found.append(PromptSession(gray(), model, cache=False).segment(where))
    overlaps = [iou(full(found[0], i), full(found[1], i)) for i in range(len(where))]
    assert np.mean(overlaps) >= least


def full(instances: nis.Instances, i: int) -> NDArray[np.bool_]:
    canvas = np.zeros(instances.image_shape, bool)
    canvas[instances.masks[i].slices] = instances.masks[i].pixels
    return canvas


def iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    either = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / either if either else 1.0


def test_command_says_where_it_computed(tmp_path: Path) -> None:
    arguments = ["segment", str(SAMPLE), "--output", str(tmp_path), "--device", "cuda"]
    assert main(arguments) == 0
    recipe = next(tmp_path.glob("*recipe.json"))
    assert torch.cuda.get_device_name() in recipe.read_text("utf-8")
    assert main(["replay", str(recipe), "--input", str(SAMPLE), "-o", str(tmp_path / "re")]) == 0
