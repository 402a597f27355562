"""Run Segment Anything 2.1 behind the `PromptSegmenter` and `VideoPrompter` protocols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from ...promptable import Candidates, Embedding, Habits, Prompts
from ...segmenter import RGB
from ..devices import describe_device, describe_precision, memory_errors, pick_device
from ..downloads import fetch_weights
from ..entry import ModelEntry, Report
from ..sam.segmenter import BATCH, Found, in_parts
from .checkpoint import read_network
from .core import Core, Features
from .decoding import Answers
from .network import Sam2Network
from .stretching import Stretching
from .video import Sam2Track

#: Prompts at a time.
CHUNK = {"cpu": 1, "cuda": 64}
#: What logits that go back as a prompt are limited to, as in training.
LIMIT = 32.0


class Sam2Prompter:
    """Segment Anything 2.1.

    Parameters
    ----------
    network : Sam2Network
        With its weights, which must not change afterwards.
    sha256 : str
        Of the weights.
    device : torch.device
    precision : {"auto", "float32", "half"}
        See `Core`.

    Notes
    -----
    A point at (r, c) is what the reference calls (x, y) = (c - 0.5, r - 0.5): it counts pixels
    from their centres, `Prompts` from their corners. So are the corners of boxes.
    """

    diameter: float | None = None
    habits = Habits(stretches=True)

    def __init__(
        self, network: Sam2Network, sha256: str, device: torch.device, precision: str = "auto"
    ) -> None:
        self._core = Core(network, sha256, device, precision)

    @property
    def input_size(self) -> int:
        """Side (px) of the square that pictures are resized to."""
        return self._core.network.input_size

    @property
    def mask_size(self) -> int:
        """Side of a mask's logits, px."""
        return self._core.prompts.mask_size

    @property
    def device(self) -> str:
        """Where it computes, for people."""
        return describe_device(self._core.device)

    @property
    def precision(self) -> str:
        """Number format of the network's multiplications."""
        return describe_precision(self._core.half)

    @property
    def batch_size(self) -> int:
        """Number of prompts that the device does well with at a time."""
        return BATCH.get(self._core.device.type, BATCH["cpu"])

    @torch.inference_mode()
    def encode(self, pictures: Sequence[RGB]) -> list[Embedding]:
        """Encode pictures; see `PromptSegmenter.encode`."""
        with memory_errors(self.device):
            return self._core.encode(pictures)

    @torch.inference_mode()
    def decode(
        self,
        embedding: Embedding,
        prompts: Prompts,
        *,
        multimask: bool = True,
        min_predicted_iou: float | None = None,
        min_stability: float | None = None,
        keep_logits: bool = False,
    ) -> Candidates:
        """Answer prompts with masks; see `PromptSegmenter.decode`.

        Notes
        -----
        Without ``multimask``, a mask that is not stable gives way to the best of the other
        outputs, as in the reference.
        """
        shape, core = embedding.picture_shape, self._core
        stretching = Stretching(self.mask_size, self.input_size, shape)
        found = Found(stretching, min_stability, keep_logits)
        make = core.decoder.several if multimask else core.decoder.one
        with memory_errors(self.device):
            features = core.features(embedding)
            for first, part in in_parts(prompts, CHUNK.get(core.device.type, 1)):
                answers = self._answer(features, part, shape)
                found.add(make(answers, features.fine, min_predicted_iou), first)
        candidates = found.candidates(shape)
        if candidates.logits is None:
            return candidates
        return replace(candidates, logits=candidates.logits.clip(-LIMIT, LIMIT))

    @torch.inference_mode()
    def start_track(self, length: int | None = None) -> Sam2Track:
        """Begin to follow an object; see `VideoPrompter.start_track`."""
        return Sam2Track(self._core, length)

    def _answer(self, features: Features, prompts: Prompts, shape: tuple[int, int]) -> Answers:
        core = self._core
        sparse = core.sparse(prompts.points, prompts.labels, prompts.boxes, shape)
        if prompts.logits is None:
            return core.decoder.answer(features.shared, sparse)
        masks = core.tensor(prompts.logits)[:, None]
        own = core.prompts.dense(masks) - core.prompts.dense(None)
        return core.decoder.answer(features.shared.cells + own.flatten(2).transpose(1, 2), sparse)


def load_prompter(
    entry: ModelEntry, device: str, precision: str = "auto", report: Report | None = None
) -> tuple[Sam2Prompter, str]:
    """Load a model of the list, or a user's own file; see `sam.segmenter.load_prompter`."""
    chosen = pick_device(device)
    digest = fetch_weights(entry, report)
    network, digest = read_network(entry.path, digest)
    return Sam2Prompter(network, digest, chosen, precision), digest
