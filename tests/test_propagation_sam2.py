"""Propagation by SAM 2's memory: the whole path through the real network, with random weights."""

from __future__ import annotations

import numpy as np
import torch

from napari_instseg.models.prompters import LoadedPrompter
from napari_instseg.models.sam2.architecture import SIZES
from napari_instseg.models.sam2.network import Sam2Network
from napari_instseg.models.sam2.segmenter import Sam2Prompter
from napari_instseg.models.tracks import VideoPrompter
from napari_instseg.ops.axes import Image
from napari_instseg.prompting import PromptSession
from napari_instseg.prompting.propagation import propagate


def test_a_stack_goes_through_the_memory_of_sam2() -> None:
    torch.manual_seed(0)
    network = Sam2Network(SIZES[0], 128).eval()
    prompter = Sam2Prompter(network, "0" * 64, torch.device("cpu"))
    assert isinstance(prompter, VideoPrompter)
    stack = np.random.default_rng(0).random((4, 96, 80)).astype(np.float32)
    session = PromptSession(
        Image(stack, "ZYX"), LoadedPrompter(prompter, "test", "test.pt", "0" * 64), cache=False
    )
    mask = np.zeros((96, 80), bool)
    mask[30:60, 20:50] = True
    found = propagate(session, {1: mask}, min_score=0, min_iou=0, max_growth=1e9, max_length=None)
    # What random weights find means nothing; each plane is theirs, or says that it has nothing.
    for index, end in ((0, found.before), (2, found.after)):
        there = index in found.sections
        assert there or end == f"z {index}: nothing was found"
        if there:
            assert 0 <= found.sections[index].score <= 1
    filled = propagate(session, {0: mask, 3: mask})
    assert list(filled.sections) == [0, 1, 2, 3]
