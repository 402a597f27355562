"""Following an object: the numbers of Meta's own video predictor, and the protocol."""

from __future__ import annotations

import warnings
from collections import OrderedDict

import numpy as np
import pytest
import sam2_reference as reference
import torch

from napari_instseg.instances import Mask
from napari_instseg.models.sam2.memory_attention import rotations, turned
from napari_instseg.models.tracks import VideoPrompter
from napari_instseg.promptable import Embedding
from napari_instseg.segmenter import InputError

SHAPE, PLANES = (150, 210), 5
MASK = Mask((40, 50), np.ones((60, 80), bool))


@pytest.fixture(scope="module")
def predictor():
    """With features of five similar planes in place of its encoder."""
    model = reference.build(video=True)
    generator = torch.Generator().manual_seed(3)
    side = reference.SMALL // 4
    shapes = (1, 32, side, side), (1, 64, side // 2, side // 2), (1, 256, side // 4, side // 4)
    base = [torch.randn(shape, generator=generator) for shape in shapes]
    model.planes = [
        [x + 0.3 * torch.randn(x.shape, generator=generator) for x in base] for _ in range(PLANES)
    ]

    def features(state, frame_idx, batch_size):
        maps = model.planes[frame_idx]
        places = [model.image_encoder.neck.position_encoding(x) for x in maps]
        out = {"backbone_fpn": list(maps), "vision_pos_enc": places}
        return None, *model._prepare_backbone_features(out)

    model._get_image_feature = features
    return model


@pytest.fixture(scope="module")
def own(predictor, tmp_path_factory):
    return reference.ours(predictor, tmp_path_factory.mktemp("sam2"))


@pytest.fixture(scope="module")
def embeddings(predictor, own):
    return [
        Embedding(tuple(x[0].numpy() for x in reversed(maps)), SHAPE, own.sha256)
        for maps in predictor.planes
    ]


def follow(model, given: dict[int, Mask], start: int, *, reverse: bool):
    """Let the reference follow; its masks of each plane, and its state."""
    cpu = torch.device("cpu")
    kinds = ("point_inputs", "mask_inputs", "output_dict", "temp_output_dict", "frames_tracked")
    state = {
        **{f"{kind}_per_obj": {} for kind in kinds},
        "obj_id_to_idx": OrderedDict(),
        "obj_idx_to_id": OrderedDict(),
        "obj_ids": [],
        "num_frames": PLANES,
        "video_height": SHAPE[0],
        "video_width": SHAPE[1],
        "device": cpu,
        "storage_device": cpu,
        "constants": {},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for index, mask in given.items():
            model.add_new_mask(state, index, 1, whole(mask))
        found = model.propagate_in_video(state, start_frame_idx=start, reverse=reverse)
        masks = {index: logits[0, 0].numpy() > 0 for index, _, logits in found}
    return masks, state["output_dict_per_obj"][0]


def whole(mask: Mask) -> np.ndarray:
    made = np.zeros(SHAPE, bool)
    made[mask.slices] = mask.pixels
    return made


class TestParity:
    @pytest.mark.parametrize(
        ("given", "way"),
        [
            ({0: MASK}, range(1, PLANES)),
            ({4: MASK}, range(3, -1, -1)),
            ({0: MASK, 4: MASK.shift(5, 9)}, range(1, 4)),
        ],
        ids=["upwards", "downwards", "between two"],
    )
    def test_masks_memory_and_pointers(self, predictor, own, embeddings, given, way):
        reverse = way.step < 0
        start = 4 if reverse else 0
        expected, kept = follow(predictor, given, start, reverse=reverse)
        track = own.prompter.start_track(PLANES)
        for index, mask in given.items():
            track.add(index, embeddings[index], mask)
            _same_memory(track._given[index], kept["cond_frame_outputs"][index])
        for index in way:
            found = track.step(index, embeddings[index], reverse=reverse)
            theirs = kept["non_cond_frame_outputs"][index]
            _same_memory(track._followed[index], theirs)
            presence = theirs["object_score_logits"].sigmoid().item()
            assert found.presence == pytest.approx(presence, abs=1e-5)
            mine, wanted = whole(found.mask), expected[index]
            assert wanted.any() == (presence > 0.5)
            assert (mine & wanted).sum() >= 0.999 * (mine | wanted).sum()

    def test_an_object_that_is_gone(self, predictor, own, embeddings, monkeypatch):
        """The same with a head that says so."""
        for decoder in (predictor.sam_mask_decoder, own.network.sam_mask_decoder):
            monkeypatch.setattr(decoder.pred_obj_score_head, "forward", lambda x: x[:, :1] * 0 - 3)
        expected, kept = follow(predictor, {0: MASK}, 0, reverse=False)
        track = own.prompter.start_track(PLANES)
        track.add(0, embeddings[0], MASK)
        for index in (1, 2):
            found = track.step(index, embeddings[index])
            _same_memory(track._followed[index], kept["non_cond_frame_outputs"][index])
            assert not expected[index].any()
            assert found.mask.pixels.size == 0
            assert found.presence == pytest.approx(0.0474, abs=1e-3)


def _same_memory(mine, theirs) -> None:
    torch.testing.assert_close(mine.pointer, theirs["obj_ptr"], atol=1e-4, rtol=1e-4)
    wanted = theirs["maskmem_features"][0].flatten(1).T
    # Both are rounded to bfloat16: a number may fall to the other side.
    torch.testing.assert_close(mine.cells, wanted, atol=1e-3, rtol=0.02)


class TestRotation:
    def test_it_depends_on_the_distance_alone(self):
        q, k = torch.randn(2, 64, 256, generator=torch.Generator().manual_seed(0))
        turns = rotations(8)
        q, k = q[:1].expand(64, -1), k[:1].expand(64, -1)
        scores = (turned(q, turns) @ turned(k, turns).T).reshape(8, 8, 8, 8)
        torch.testing.assert_close(scores[0, 0, 2, 3], scores[4, 1, 6, 4], atol=1e-3, rtol=1e-4)
        assert abs(scores[0, 0, 2, 3] - scores[0, 0, 3, 2]) > 1e-3


class TestProtocol:
    def test_it_is_one(self, own):
        assert isinstance(own.prompter, VideoPrompter)

    def test_a_mask_must_come_first(self, own, embeddings):
        track = own.prompter.start_track()
        with pytest.raises(InputError, match="got masks on none"):
            track.step(1, embeddings[1])
        track.add(1, embeddings[1], MASK)
        with pytest.raises(InputError, match=r"another plane than 1; got masks on \[1\]"):
            track.step(1, embeddings[1])

    @pytest.mark.parametrize(
        "mask",
        [
            Mask((0, 0), np.zeros((5, 5), bool)),
            Mask((0, 0), np.zeros((0, 0), bool)),
            Mask((-1, 0), np.ones((5, 5), bool)),
            Mask((148, 0), np.ones((5, 5), bool)),
        ],
        ids=["empty", "no crop", "above", "below"],
    )
    def test_a_mask_must_be_in_the_picture(self, own, embeddings, mask):
        with pytest.raises(InputError, match="inside the picture of 150 x 210 px"):
            own.prompter.start_track().add(0, embeddings[0], mask)

    def test_pictures_have_one_shape(self, own, embeddings):
        track = own.prompter.start_track()
        track.add(0, embeddings[0], MASK)
        other = Embedding(embeddings[1].arrays, (150, 211), own.sha256)
        with pytest.raises(InputError, match="one shape in a track"):
            track.step(1, other)

    def test_an_embedding_of_another_model_is_refused(self, own, embeddings):
        other = Embedding(embeddings[0].arrays, SHAPE, "other")
        with pytest.raises(InputError, match="made by another model"):
            own.prompter.start_track().add(0, other, MASK)
