"""Detectron2's models behind the protocol: a trained one on a real image, others at random."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import SCORE, excite, needs_detectron2, panoptic_deeplab, picture, pointrend, small

import napari_instseg as nis
from napari_instseg.cli import main
from napari_instseg.evaluation import match_labels
from napari_instseg.io.images import read_image, read_labels
from napari_instseg.models import registry
from napari_instseg.models.detectron2 import bridges
from napari_instseg.models.downloads import file_sha256
from napari_instseg.models.entry import LoadedModel
from napari_instseg.models.pasting import paste_masks
from napari_instseg.segmenter import InputError, ModelError, ResizingSegmenter, Segmenter

pytestmark = needs_detectron2
TRAINED = Path(__file__).parents[2] / "data" / "detectron2_nuclei"
CONFIG, WEIGHTS, NAMES = (TRAINED / n for n in ("config.yaml", "model.pth", "categories.txt"))
SAMPLE = Path(nis.__file__).parent / "data" / "fluorescence.png"
ZOO = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x"


@pytest.fixture(scope="module")
def nuclei() -> LoadedModel:
    return nis.load_model(CONFIG, "cpu", weights=WEIGHTS, categories=NAMES)


@pytest.fixture(scope="module")
def sample(nuclei: LoadedModel) -> nis.Segmentation:
    return nis.segment(SAMPLE, nuclei)


def random_model(name: str, **changes: Any) -> LoadedModel:
    from napari_instseg.models.detectron2.categories import categories_of
    from napari_instseg.models.detectron2.network import build
    from napari_instseg.models.detectron2.segmenter import Detectron2Segmenter

    cfg = small(name, **changes)
    model = excite(build(cfg))
    cpu = torch.device("cpu")
    return LoadedModel(Detectron2Segmenter(model, cfg, categories_of(cfg, None), cpu), name, "", "")


# ---------------------------------------------------------------------------- the trained model


def test_a_trained_model_finds_what_the_built_in_one_finds(sample: nis.Segmentation) -> None:
    theirs = nis.segment(SAMPLE).instances
    match = match_labels(theirs, sample.instances, (0.5,)).matches[0.5]
    assert match.f1 > 0.8
    assert [c.name for c in sample.categories] == ["nucleus"]
    assert set(sample.table["category"]) == {"nucleus"}
    assert not sample.table["is_box"].any()


def test_its_recipe_names_the_files_and_gives_the_same_again(sample: nis.Segmentation) -> None:
    again = nis.segment(SAMPLE, CONFIG, weights=WEIGHTS, categories=NAMES)
    recipe = json.loads(json.dumps(again.recipe))
    assert recipe["model"]["sha256"] == file_sha256(WEIGHTS)
    assert recipe["model"]["config_sha256"] == file_sha256(CONFIG)
    assert recipe["settings"]["weights"] == str(WEIGHTS)
    assert recipe["versions"]["detectron2"]
    np.testing.assert_array_equal(again.instances, sample.instances)
    repeated = nis.segment(SAMPLE, recipe=recipe)
    np.testing.assert_array_equal(repeated.instances, sample.instances)


def test_the_command_line_runs_a_config_with_its_weights(
    tmp_path: Path, sample: nis.Segmentation
) -> None:
    files = ["--model", str(CONFIG), "--weights", str(WEIGHTS), "--categories", str(NAMES)]
    assert main(["segment", str(SAMPLE), "-o", str(tmp_path), *files, "--quiet"]) == 0
    labels = read_labels(tmp_path / "fluorescence_instances.tif")
    np.testing.assert_array_equal(labels, sample.instances)
    recipe = ["--recipe", str(tmp_path / "fluorescence_recipe.json")]
    assert main(["segment", str(SAMPLE), "-o", str(tmp_path / "2"), *recipe, "--quiet"]) == 0
    labels = read_labels(tmp_path / "2" / "fluorescence_instances.tif")
    np.testing.assert_array_equal(labels, sample.instances)


def test_tiles_leave_no_trace(nuclei: LoadedModel, sample: nis.Segmentation) -> None:
    tiled = nis.segment(SAMPLE, nuclei, tile_size=256, overlap=96)
    match = match_labels(sample.instances, tiled.instances, (0.5,)).matches[0.5]
    assert match.panoptic_quality > 0.95


def test_pointrends_heads_leave_half_precision() -> None:
    from napari_instseg.models.detectron2.categories import categories_of
    from napari_instseg.models.detectron2.network import build
    from napari_instseg.models.detectron2.segmenter import Detectron2Segmenter

    cfg = pointrend()
    model: Any = excite(build(cfg))
    half: dict[str, set[bool]] = {"backbone": set(), "points": set()}
    parts = {"backbone": model.backbone, "points": model.roi_heads.mask_head.point_head}
    for name, part in parts.items():
        part.register_forward_hook(
            lambda *_, seen=half[name]: seen.add(torch.is_autocast_enabled("cpu"))
        )
    cpu = torch.device("cpu")
    segmenter = Detectron2Segmenter(model, cfg, categories_of(cfg, None), cpu, "half")
    (found,) = segmenter.segment([picture().astype(np.float32) / 255])
    assert len(found.instances) > 0
    assert half == {"backbone": {True}, "points": {False}}


@pytest.mark.parametrize(
    ("dtype", "least"), [(torch.float16, (0.99, 0.995)), (torch.bfloat16, (0.98, 0.98))]
)
def test_half_precision_gives_nearly_the_same(
    sample: nis.Segmentation, dtype: torch.dtype, least: tuple[float, float]
) -> None:
    """The stated tolerance of autocast: F1 at IoU 0.5 and mean IoU, beside float32.

    On the CPU; GPUs take the same path, with float16.
    """
    half = nis.load_model(CONFIG, "cpu", weights=WEIGHTS, categories=NAMES, precision="half")
    assert half.segmenter._half is torch.bfloat16
    half.segmenter._half = dtype
    result = nis.segment(SAMPLE, half)
    match = match_labels(sample.instances, result.instances, (0.5,)).matches[0.5]
    assert match.f1 >= least[0]
    assert match.segmentation_quality >= least[1]


def test_a_batch_gives_what_its_tiles_give_alone(nuclei: LoadedModel) -> None:
    image = read_image(SAMPLE)
    gray = image.read((), slice(0, 300), slice(0, 300)).astype(np.float32)
    pixels = np.repeat(gray.reshape(300, 300, -1)[..., :1] / gray.max(), 3, axis=-1)
    tiles = [pixels[:128, :192], pixels[100:228, :128], pixels[128:256, 64:256]]
    together = nuclei.segmenter.segment(tiles)
    for tile, prediction in zip(tiles, together, strict=True):
        (alone,) = nuclei.segmenter.segment([tile])
        assert prediction.instances.image_shape == tile.shape[:2]
        sure = [p.instances.take(p.instances.scores > 0.5).boxes for p in (alone, prediction)]
        assert len(sure[0]) == len(sure[1]) > 3
        # Sums in another order: scores that are all but equal may change places.
        apart = np.abs(sure[0][:, None] - sure[1]).max(axis=-1)
        assert apart.min(axis=1).max() < 1e-2
    assert nuclei.segmenter.segment([]) == []


# --------------------------------------------------------------------------------------- sizes


def test_sizes_native_as_trained_and_by_the_middle_of_the_anchors(nuclei: LoadedModel) -> None:
    segmenter = nuclei.segmenter
    assert isinstance(segmenter, Segmenter)
    assert isinstance(segmenter, ResizingSegmenter)
    sizes = [8, 13, 20, 32, 48, 76, 110, 160, 220, 300]
    assert segmenter.diameter == pytest.approx(np.exp(np.mean(np.log(sizes))))
    seen: list[tuple[int, ...]] = []
    hook = segmenter._model.backbone.register_forward_pre_hook(
        lambda module, inputs: seen.append(tuple(inputs[0].shape[2:]))
    )
    image = picture(96, 128)
    nis.segment(image, nuclei)
    as_trained = nis.segment(image, nuclei, diameter="as trained")
    hook.remove()
    # The config says 512; networks take multiples of 32.
    assert seen == [(96, 128), (512, 704)]
    assert as_trained.instances.shape == (96, 128)
    with pytest.raises(InputError, match="'nuclei' was not trained on pictures of one size"):
        nis.segment(image, diameter="as trained")


def test_pasting_is_detectron2s_pixel_by_pixel() -> None:
    bridges.load()
    from detectron2.layers.mask_ops import paste_masks_in_image

    shape = (150, 170)
    generator = torch.manual_seed(0)
    masks = torch.rand(60, 28, 28, generator=generator)
    corner = torch.rand(60, 2, generator=generator) * 140 - 10
    boxes = torch.cat([corner, corner + torch.rand(60, 2, generator=generator) * 60 + 0.2], dim=1)
    boxes = torch.stack([boxes[:, 0::2].clamp(0, 170), boxes[:, 1::2].clamp(0, 150)], dim=2)
    boxes = boxes.flatten(1)[(boxes[:, 1] > boxes[:, 0]).all(dim=1)]
    masks = masks[: len(boxes)]
    assert len(boxes) > 40
    theirs = paste_masks_in_image(masks, boxes, shape).numpy()
    for mask, expected in zip(paste_masks(masks, boxes, shape), theirs, strict=True):
        canvas = np.zeros(shape, bool)
        canvas[mask.slices] = mask.pixels
        np.testing.assert_array_equal(canvas, expected)


# ------------------------------------------------------------------------------ kinds of model


@pytest.fixture(scope="module")
def boxes_model() -> LoadedModel:
    return random_model("COCO-Detection/faster_rcnn_R_50_FPN_1x")


def test_box_models_give_boxes_that_are_marked(boxes_model: LoadedModel) -> None:
    result = nis.segment(picture(), boxes_model, score_threshold=SCORE)
    assert result.rules.boxes_only
    assert result.table["is_box"].all()
    (raw,) = result.raw
    assert len(result.table) == len(raw) > 20  # None is left out for lying under another.
    for mask, (left, top, right, bottom) in zip(raw.masks, raw.boxes, strict=True):
        assert mask.pixels.all()
        rows, cols = mask.slices
        assert abs(rows.start - top) <= 1 >= abs(rows.stop - bottom)
        assert abs(cols.start - left) <= 1 >= abs(cols.stop - right)


def test_semantic_models_give_stuff_only() -> None:
    result = nis.segment(picture(), random_model("Misc/semantic_R_50_FPN_1x"))
    assert result.count == 0 == result.instances.max()
    assert not result.table["is_thing"].any()
    assert len(result.table) == len(np.unique(result.semantic)) > 2
    assert (result.panoptic > 0).all()


def test_panoptic_segments_there_and_back() -> None:
    from napari_instseg.models.detectron2.panoptic import read_segments, segments_info
    from napari_instseg.ops.rendering import add_stuff, render

    loaded = random_model("COCO-PanopticSegmentation/panoptic_fpn_R_50_1x")
    result = nis.segment(picture(), loaded, score_threshold=SCORE)
    names = loaded.segmenter._names
    segments = json.loads(json.dumps(segments_info(result.table, names)))
    assert [s["id"] for s in segments] == list(range(1, len(segments) + 1))
    assert {s["isthing"] for s in segments} == {True, False}
    by_name = {c.name: c for c in names.categories}
    assert by_name["person"].is_thing
    assert not by_name["banner"].is_thing
    instances, stuff = read_segments(result.panoptic, segments, names)
    rendering = render([instances], (), "", instances.image_shape, names.categories, "again")
    count = rendering.count(0)
    semantic, panoptic, table = add_stuff(rendering, count, stuff, names.categories, "again")
    np.testing.assert_array_equal(panoptic, result.panoptic)
    np.testing.assert_array_equal(semantic, result.semantic)
    assert segments_info(table, names) == segments
    with pytest.raises(InputError, match="got none for"):
        read_segments(result.panoptic, segments[1:], names)
    with pytest.raises(InputError, match="category_id of 0 to 79, got 80"):
        read_segments(result.panoptic, [{**segments[0], "category_id": 80}, *segments[1:]], names)


def test_objects_are_never_as_large_as_the_image(boxes_model: LoadedModel) -> None:
    """1,000 objects on 4096 x 4096 px would be 16 GB as Detectron2 has them."""
    bridges.load()
    from detectron2.structures import Boxes, Instances

    from napari_instseg.models.detectron2.results import read_detections

    generator = torch.manual_seed(0)
    corner = torch.rand(1000, 2, generator=generator) * 4000
    result = Instances((4096, 4096))
    result.pred_boxes = Boxes(torch.cat([corner, corner + 30], dim=1))
    result.scores = torch.linspace(1, 0.1, 1000)
    result.pred_classes = torch.zeros(1000, dtype=torch.long)
    result.pred_masks = torch.rand(1000, 1, 28, 28, generator=generator)
    sizes: list[int] = []

    class Sizes(torch.overrides.TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            made = func(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor):
                sizes.append(made.untyped_storage().nbytes())
            return made

    with Sizes():
        boxes, _, _, masks = read_detections(result, (4096, 4096))
    assert masks is not None
    assert len(boxes) == len(masks) == 1000
    assert max(sizes) < 20_000_000
    assert sum(mask.pixels.nbytes for mask in masks) < 1_100_000


# --------------------------------------------------------------------------------- the registry


def test_a_zoo_file_that_was_placed_by_hand_is_used(picture_of_zoo: Path) -> None:
    """As on a machine without network: what the error says to do, done."""
    image = picture(64, 96)
    result = nis.segment(image, "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x", device="cpu")
    assert result.recipe["model"]["sha256"] == file_sha256(picture_of_zoo)
    assert len(result.categories) == 80
    # What it hashes to is remembered: another file in its place is noticed.
    picture_of_zoo.write_bytes(picture_of_zoo.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="damaged"):
        nis.load_model(ZOO, "cpu")


@pytest.fixture
def picture_of_zoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Random weights in the layout of the zoo's files, where a download would have put them."""
    from napari_instseg.models.detectron2.config import zoo_config
    from napari_instseg.models.detectron2.network import build

    monkeypatch.setenv("NAPARI_INSTSEG_CACHE", str(tmp_path))
    entry = registry.find(ZOO)
    assert not entry.present
    assert entry.missing() == ""
    state = build(zoo_config(entry.config)).state_dict()
    model = {name: value.numpy() for name, value in state.items()}
    entry.path.parent.mkdir(parents=True)
    with entry.path.open("wb") as file:
        pickle.dump({"model": model, "__author__": "Detectron2 Model Zoo"}, file)
    return entry.path


def test_no_network_says_which_file_to_put_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NAPARI_INSTSEG_CACHE", str(tmp_path))
    monkeypatch.setenv("NAPARI_INSTSEG_MIRROR", "http://localhost:9/")
    with pytest.raises(ModelError) as caught:
        nis.segment(picture(32, 32), ZOO)
    assert str(registry.find(ZOO).path) in str(caught.value)
    assert "model_final_f10217.pkl" in str(caught.value)


def test_what_is_asked_for_wrongly_is_answered(tmp_path: Path) -> None:
    image = picture(32, 32)
    with pytest.raises(ModelError, match="expected the checkpoint"):
        nis.segment(image, CONFIG)
    with pytest.raises(ModelError, match=r"no_such\.yaml; there is none"):
        nis.segment(image, tmp_path / "no_such.yaml", weights=WEIGHTS)
    with pytest.raises(ModelError, match="LazyConfig"):
        nis.segment(image, tmp_path / "config.py", weights=WEIGHTS)
    with pytest.raises(ModelError, match="weights and categories go with a Detectron2 config"):
        nis.segment(image, "nuclei", weights=WEIGHTS)
    names = tmp_path / "names.txt"
    names.write_text("nucleus\ncell\n")
    with pytest.raises(ModelError, match=r"expected 1 .*2"):
        nis.segment(image, CONFIG, weights=WEIGHTS, categories=names)


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    text = CONFIG.read_text().replace("NUM_CLASSES: 1", "NUM_CLASSES: 7")
    other = tmp_path / "seven.yaml"
    other.write_text(text)
    with pytest.raises(ModelError, match=r"NUM_CLASSES") as caught:
        nis.load_model(other, weights=WEIGHTS)
    assert "cls_score" in str(caught.value)


def test_a_cap_in_the_config_does_not_hide_objects(
    tmp_path: Path, sample: nis.Segmentation
) -> None:
    """With room for 10 objects 100 come back, by one pass over the backbone."""
    text = CONFIG.read_text().replace("DETECTIONS_PER_IMAGE: 1000", "DETECTIONS_PER_IMAGE: 10")
    few = tmp_path / "few.yaml"
    few.write_text(text)
    model = nis.load_model(few, "cpu", weights=WEIGHTS)
    passes: list[int] = []
    network = model.segmenter._model
    network.backbone.register_forward_hook(lambda *_: passes.append(1))
    result = nis.segment(SAMPLE, model)
    assert len(passes) == 1
    match = match_labels(sample.instances, result.instances, (0.5,)).matches[0.5]
    assert match.f1 > 0.97
    assert network.roi_heads.box_predictor.test_topk_per_image == 10
    assert network.proposal_generator.post_nms_topk[False] == 2000


@pytest.mark.parametrize("width", [10**6, 10**12])
def test_a_network_that_would_fill_the_memory_is_refused(tmp_path: Path, width: int) -> None:
    text = CONFIG.read_text().replace("RES2_OUT_CHANNELS: 64", f"RES2_OUT_CHANNELS: {width}")
    huge = tmp_path / "huge.yaml"
    huge.write_text(text)
    with pytest.raises(ModelError, match=r"would take \d+ GB|cannot build the network"):
        nis.load_model(huge, weights=WEIGHTS)


def test_panoptic_deeplab_of_a_data_set_that_is_not_known() -> None:
    from napari_instseg.models.detectron2.categories import Categories
    from napari_instseg.models.detectron2.network import build
    from napari_instseg.models.detectron2.segmenter import Detectron2Segmenter

    cfg = panoptic_deeplab()
    cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = ("cells_of_mine",)
    ids = np.arange(1, 20)
    categories = Categories(
        tuple(nis.Category(int(i), f"class {i}", is_thing=bool(i <= 8)) for i in ids),
        np.where(ids <= 8, ids, 0),
        ids,
    )
    model = excite(build(cfg, categories))
    segmenter = Detectron2Segmenter(model, cfg, categories, torch.device("cpu"))
    result = nis.segment(picture(), LoadedModel(segmenter, "mine", "", ""), score_threshold=0)
    assert set(result.table.loc[result.table["is_thing"], "category_id"]) <= set(range(1, 9))
    assert set(result.table.loc[~result.table["is_thing"], "category_id"]) <= set(range(9, 20))
    assert len(result.table) > 2
