"""SAM 2.1 on pictures: the numbers of Meta's own predictor, and the protocol."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sam2_reference as reference
import torch

from napari_instseg.models.sam2 import segmenter
from napari_instseg.models.sam2.architecture import SIZES
from napari_instseg.models.sam2.hiera import ImageEncoder
from napari_instseg.models.sam2.network import DEVIATION, MEAN
from napari_instseg.promptable import Embedding, Prompts, PromptSegmenter
from napari_instseg.segmenter import InputError

SHAPE = (150, 210)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """8 bit, with an object."""
    rng = np.random.default_rng(0)
    made = (rng.random((*SHAPE, 3)) * 255).astype(np.uint8)
    made[50:100, 75:150] = (200, 30, 90)
    return made


@pytest.fixture(scope="module")
def predictor(picture):
    model = reference.build()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        made = SAM2ImagePredictor(model)
        side = reference.SMALL // 4
        made._bb_feat_sizes = [(side, side), (side // 2, side // 2), (side // 4, side // 4)]
        made.set_image(picture)
    return made


@pytest.fixture(scope="module")
def own(predictor, tmp_path_factory):
    return reference.ours(predictor.model, tmp_path_factory.mktemp("sam2"))


@pytest.fixture(scope="module")
def embedding(own, picture):
    return own.prompter.encode([(picture / np.float32(255)).astype(np.float32)])[0]


def logits(seed: int = 0) -> np.ndarray:
    """A mask prompt: a disc."""
    side = reference.SMALL // 4
    rows, cols = np.mgrid[:side, :side] - side / 2
    noise = np.random.default_rng(seed).normal(0, 0.3, (side, side))
    return (8 - np.hypot(rows, cols) / 2 + noise).astype(np.float32)[None]


CLICK = {"points": [(75, 100)], "labels": [1]}
CLICKS = {"points": [(75, 100), (5, 10), (125, 200)], "labels": [1, 0, 1]}
BOX = {"box": (45, 70, 105, 155)}
MASK = {"mask": logits()}


class TestParity:
    """The same weights give the same numbers, whatever is asked."""

    def test_embedding(self, predictor, own, embedding):
        kept = predictor._features
        # The reference adds what stands for an empty memory already.
        empty = own.network.no_mem_embed.numpy().reshape(-1, 1, 1)
        arrays = (embedding.arrays[0] + empty, *embedding.arrays[1:])
        expected = (kept["image_embed"], *kept["high_res_feats"][::-1])
        for array, tensor in zip(arrays, expected, strict=True):
            wanted = tensor[0].numpy()
            assert array.shape == wanted.shape
            assert np.abs(array - wanted).max() <= 1e-5 * np.abs(wanted).max()

    @pytest.mark.parametrize("multimask", [True, False])
    @pytest.mark.parametrize(
        "asked",
        [CLICK, CLICKS, BOX, {**CLICKS, **BOX}, MASK, {**CLICK, **MASK}],
        ids=["click", "clicks", "box", "box and clicks", "mask", "mask and click"],
    )
    def test_masks(self, predictor, own, embedding, asked, multimask):
        points, labels = asked.get("points"), asked.get("labels")
        box, mask = asked.get("box"), asked.get("mask")
        expected, iou, low = predictor.predict(
            point_coords=None if points is None else np.array(points, np.float32)[:, ::-1].copy(),
            point_labels=labels,
            box=None if box is None else np.array(box, np.float32)[[1, 0, 3, 2]],
            mask_input=mask,
            multimask_output=multimask,
        )
        # The reference counts pixels from their centres.
        prompts = Prompts.create(
            None if points is None else np.array([points]) + 0.5,
            None if labels is None else [labels],
            None if box is None else np.array([box]) + 0.5,
            mask,
        )
        found = own.prompter.decode(embedding, prompts, multimask=multimask, keep_logits=True)
        assert len(found) == len(expected) == (3 if multimask else 1)
        np.testing.assert_allclose(found.predicted_iou, iou, atol=1e-5)
        np.testing.assert_allclose(found.logits, low, atol=1e-4)
        for mask, wanted in zip(found.masks, expected > 0, strict=True):
            assert 50 < wanted.sum() < wanted.size
            whole = np.zeros(SHAPE, bool)
            whole[mask.slices] = mask.pixels
            assert (whole & wanted).sum() >= 0.999 * (whole | wanted).sum()

    def test_an_unstable_mask_gives_way(self, own, embedding):
        found = own.prompter.decode(embedding, Prompts.create([[(75, 100)]]), multimask=False)
        several = own.prompter.decode(embedding, Prompts.create([[(75, 100)]]))
        # With random weights no mask is stable.
        best = int(several.predicted_iou.argmax())
        assert found.outputs.tolist() == [several.outputs[best]]
        assert np.array_equal(found.masks[0].pixels, several.masks[best].pixels)

    @pytest.mark.parametrize(
        "size", ["small", "base+", pytest.param("large", marks=pytest.mark.slow)]
    )
    def test_encoders_of_other_sizes(self, size):
        theirs = reference.part(size, "image_encoder").eval()
        reference.scramble(theirs)
        mine = ImageEncoder(next(arch for arch in SIZES if arch.name == size))
        mine.load_state_dict(theirs.state_dict())
        # Windows do not fit a whole number of times.
        pixels = torch.randn(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            expected = theirs(pixels)["backbone_fpn"]
            for ours, wanted in zip(mine(pixels), expected, strict=True):
                assert (ours - wanted).abs().max() <= 1e-5 * wanted.abs().max()

    @pytest.mark.slow
    def test_at_full_size(self, tmp_path):
        model = reference.build(1024)
        network = reference.ours(model, tmp_path, 1024).network
        normal = torch.randn(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(0))
        mean, deviation = (torch.tensor(c).view(3, 1, 1) for c in (MEAN, DEVIATION))
        with torch.inference_mode():
            expected = model.forward_image(normal)["backbone_fpn"]
            found = network.encode(normal * deviation + mean)
        for ours, wanted in zip(found, expected[::-1], strict=True):
            assert (ours - wanted).abs().max() <= 1e-4 * wanted.abs().max()
        assert [tuple(x.shape[1:]) for x in found] == [
            (256, 64, 64),
            (64, 128, 128),
            (32, 256, 256),
        ]


class TestProtocol:
    def test_it_is_one(self, own):
        prompter = own.prompter
        assert isinstance(prompter, PromptSegmenter)
        assert (prompter.input_size, prompter.mask_size) == (256, 64)
        assert (prompter.diameter, prompter.device, prompter.batch_size) == (None, "CPU", 16)

    def test_a_batch_answers_as_one_by_one(self, own, embedding):
        points = np.array([[(75, 100)], [(20, 30)], [(140, 200)]], np.float32)
        prompts = Prompts.create(points)
        together = own.prompter.decode(embedding, prompts)
        assert together.prompts.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
        assert together.outputs.tolist() == [1, 2, 3] * 3
        alone = own.prompter.decode(embedding, prompts.take(slice(1, 2)))
        np.testing.assert_allclose(alone.predicted_iou, together.predicted_iou[3:6], atol=1e-6)
        assert alone.masks[0].origin == together.masks[3].origin

    def test_a_gpus_batches_answer_the_same(self, own, embedding, monkeypatch):
        prompts = Prompts.create(np.array([[(75, 100)], [(20, 30)], [(140, 200)]], np.float32))
        one_by_one = own.prompter.decode(embedding, prompts, keep_logits=True)
        monkeypatch.setitem(segmenter.CHUNK, "cpu", 64)
        together = own.prompter.decode(embedding, prompts, keep_logits=True)
        np.testing.assert_allclose(one_by_one.logits, together.logits, atol=1e-4)

    @pytest.mark.parametrize("multimask", [True, False])
    def test_thresholds(self, own, embedding, multimask):
        points = np.random.default_rng(0).uniform(0, 150, (6, 1, 2))
        prompts = Prompts.create(points)
        every = own.prompter.decode(embedding, prompts, multimask=multimask)
        middle = float(np.median(every.predicted_iou))
        some = own.prompter.decode(
            embedding, prompts, multimask=multimask, min_predicted_iou=middle
        )
        wanted = every.take(every.predicted_iou > middle)
        assert some.prompts.tolist() == wanted.prompts.tolist()
        assert some.outputs.tolist() == wanted.outputs.tolist()
        assert 0 < len(some) < len(every)
        middle = float(np.median(every.stability))
        stable = own.prompter.decode(embedding, prompts, multimask=multimask, min_stability=middle)
        assert len(stable) == (every.stability >= middle).sum()
        none = own.prompter.decode(embedding, prompts, multimask=multimask, min_predicted_iou=2)
        assert len(none) == 0

    def test_nothing_asked_nothing_answered(self, own, embedding):
        found = own.prompter.decode(embedding, Prompts.create(np.zeros((0, 1, 2))))
        assert len(found) == 0

    def test_half_an_embedding_answers_nearly_the_same(self, own, embedding):
        half = embedding.half()
        assert half.nbytes * 2 == embedding.nbytes == 4 * 16 * 16 * (256 + 4 * 64 + 16 * 32)
        prompts = Prompts.create([[(75, 100)]])
        a, b = (own.prompter.decode(e, prompts) for e in (embedding, half))
        np.testing.assert_allclose(a.predicted_iou, b.predicted_iou, atol=0.01)

    def test_several_pictures(self, own, picture, embedding):
        pixels = (picture / np.float32(255)).astype(np.float32)
        first, second = own.prompter.encode([pixels, pixels[:64]])
        assert np.array_equal(first.arrays[0], embedding.arrays[0])
        assert second.picture_shape == (64, 210)
        assert own.prompter.encode([]) == []

    def test_an_embedding_of_another_model_is_refused(self, own, embedding):
        other = Embedding(embedding.arrays, embedding.picture_shape, "other")
        with pytest.raises(InputError, match="made by another model"):
            own.prompter.decode(other, Prompts.create([[(1, 1)]]))

    @pytest.mark.parametrize("shape", [(5, 5), (0, 5, 3), (5, 5, 4)])
    def test_a_picture_of_another_shape_is_refused(self, own, shape):
        with pytest.raises(InputError, match=r"expected a picture \(H, W, 3\)"):
            own.prompter.encode([np.zeros(shape, np.float32)])
