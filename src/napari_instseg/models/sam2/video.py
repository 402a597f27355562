"""Follow an object through planes, with SAM 2's memory.

References
----------
Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024; ``sam2`` 1.1,
``modeling/sam2_base.py`` and ``sam2_video_predictor.py``. The numbers are those of
``SAM2VideoPredictor`` without its filling of holes, which needs a compiled extension.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ...instances import Mask
from ...promptable import Embedding
from ...segmenter import InputError
from ..devices import describe_device, memory_errors
from ..sam.prompt_encoder import PADDING
from ..tracks import Tracked
from .architecture import MEMORY_WIDTH, WIDTH
from .core import Core, Features
from .decoding import Answers
from .memory_attention import rotations
from .memory_encoder import sine_grid, sine_line
from .network import PLANES
from .stretching import Stretching

#: Planes of which it is remembered what the decoder made of the object.
POINTERS = 16
#: What logits of an object that is not there are.
ABSENT = -1024.0


@dataclass(frozen=True, slots=True, eq=False)
class _Memory:
    """What is remembered of a plane: (T, MEMORY_WIDTH) cells, and (1, WIDTH) of the object."""

    cells: Tensor
    pointer: Tensor


class Sam2Track:
    """The memory of one object; see `tracks.Track`.

    Parameters
    ----------
    core : Core
    length : int, optional
        Number of planes of the stack.
    """

    def __init__(self, core: Core, length: int | None = None) -> None:
        self._core, self._length = core, length
        self._shape: tuple[int, int] | None = None
        self._given: dict[int, _Memory] = {}
        self._followed: dict[int, _Memory] = {}
        grid = core.network.grid
        self._turns = rotations(grid).to(core.device)
        self._feature_positions = sine_grid(WIDTH, grid).to(core.device)
        self._positions = sine_grid(MEMORY_WIDTH, grid).to(core.device)

    @torch.inference_mode()
    def add(self, index: int, embedding: Embedding, mask: Mask) -> None:
        """Remember a mask that is known; see `tracks.Track.add`."""
        whole = self._whole(mask, embedding)
        core = self._core
        with memory_errors(describe_device(core.device)):
            features = core.features(embedding)
            dense = core.prompts.dense(core.network.mask_downsample(whole))
            answers = self._answer(features.coarse + dense[0].flatten(1).T)
            # It may be gone, if it was thin and the picture is larger than the input.
            there = whole.amax().reshape(1)
            pointer = self._pointer(answers.outputs[:, 0], answers.presence.minimum(there))
            # A given mask is kept as small as its own are, as if it were logits.
            logits = 20 * whole - 10
            side = (core.prompts.mask_size, core.prompts.mask_size)
            small = F.interpolate(logits, side, mode="bilinear", antialias=True)
            seen = (_enlarged(small) > 0).float()
            self._given[index] = _Memory(self._cells(features, seen, there), pointer)
        self._followed.pop(index, None)

    @torch.inference_mode()
    def step(self, index: int, embedding: Embedding, *, reverse: bool = False) -> Tracked:
        """Follow the object onto a plane; see `tracks.Track.step`."""
        self._check(embedding)
        if index in self._given or not self._given:
            raise InputError(
                f"expected a mask that was added before, on another plane than {index}; got "
                f"masks on {sorted(self._given) or 'none'}"
            )
        core = self._core
        with memory_errors(describe_device(core.device)):
            features = core.features(embedding)
            cells = self._conditioned(features, index, -1 if reverse else 1)
            answers = self._answer(cells + core.prompts.dense(None).flatten())
            found = core.decoder.best(answers, features.fine)
            logits = torch.where(answers.presence[:, None, None] > 0, found.logits, ABSENT)
            pointer = self._pointer(answers.outputs[0, found.outputs], answers.presence)
            seen = _enlarged(logits[:, None]).sigmoid()
            remembered = self._cells(features, seen, answers.presence)
            self._followed[index] = _Memory(remembered, pointer)
            sizes = core.prompts.mask_size, core.network.input_size
            mask, _ = Stretching(*sizes, embedding.picture_shape)(logits[0].cpu())
        return Tracked(mask, float(found.predicted_iou), float(answers.presence.sigmoid()))

    def _check(self, embedding: Embedding) -> None:
        shape = embedding.picture_shape
        if self._shape not in (None, shape):
            raise InputError(
                f"expected pictures of one shape in a track, {self._shape}; got {shape}"
            )
        self._shape = shape

    def _whole(self, mask: Mask, embedding: Embedding) -> Tensor:
        """A mask as the network takes it, (1, 1, input_size, input_size), 0 or 1."""
        self._check(embedding)
        rows, cols = mask.slices
        height, width = embedding.picture_shape
        if not mask.area or min(mask.origin) < 0 or rows.stop > height or cols.stop > width:
            raise InputError(
                f"expected a mask with pixels, inside the picture of {height} x {width} px; got "
                f"{mask.area} pixels in rows {rows.start}:{rows.stop}, columns "
                f"{cols.start}:{cols.stop}"
            )
        whole = torch.zeros(1, 1, height, width)
        whole[0, 0, rows, cols] = torch.from_numpy(mask.pixels.copy()).float()
        whole = whole.to(self._core.device)
        size = self._core.network.input_size
        if (height, width) == (size, size):
            return whole
        return (F.interpolate(whole, (size, size), mode="bilinear", antialias=True) >= 0.5).float()

    def _answer(self, cells: Tensor) -> Answers:
        """Let the decoder look at (T, C) cells without a point; the reference gives it two."""
        nowhere = cells.new_zeros(1, 1, 2)
        label = torch.full((1, 1), PADDING, device=cells.device)
        sparse = self._core.prompts.sparse(nowhere, label)
        return self._core.decoder.answer(cells[None], sparse)

    def _pointer(self, token: Tensor, presence: Tensor) -> Tensor:
        """Make of the decoder's (1, C) token what is remembered of the object."""
        network = self._core.network
        pointer: Tensor = network.obj_ptr_proj(token)
        kept: Tensor = torch.where(presence[:, None] > 0, pointer, network.no_obj_ptr)
        return kept

    def _cells(self, features: Features, seen: Tensor, presence: Tensor) -> Tensor:
        """Make of a mask and its picture what is remembered of the plane."""
        network = self._core.network
        maps = features.coarse.T.unflatten(1, (network.grid, network.grid))[None]
        cells: Tensor = network.memory_encoder(maps, seen)[0].flatten(1).T
        cells = cells + (presence[:, None] <= 0).float() * network.no_obj_embed_spatial
        # As the reference keeps it.
        return cells.to(torch.bfloat16)

    def _conditioned(self, features: Features, index: int, way: int) -> Tensor:
        """Let (T, C) cells of a plane attend to the memory; way 1 is upwards, -1 downwards."""
        network = self._core.network
        ages = network.maskmem_tpos_enc[:, 0, 0]
        # A given plane counts as the oldest, whenever it was.
        planes = [(memory.cells, ages[PLANES - 1]) for memory in self._given.values()]
        for ago in range(PLANES - 1, 0, -1):
            memory = self._followed.get(index - way * ago)
            if memory is not None:
                planes.append((memory.cells, ages[ago - 1]))
        pointers, places = self._pointers(index, way)
        return network.memory_attention(  # type: ignore[no-any-return]
            features.coarse,
            self._feature_positions,
            torch.cat([*(cells.float() for cells, _ in planes), pointers]),
            torch.cat([*(self._positions + age for _, age in planes), places]),
            self._turns,
            len(pointers),
        )

    def _pointers(self, index: int, way: int) -> tuple[Tensor, Tensor]:
        """What is remembered of the object, and how long ago: two (n, MEMORY_WIDTH)."""
        most = POINTERS if self._length is None else min(self._length, POINTERS)
        found = [
            (way * (index - at), memory.pointer)
            for at, memory in self._given.items()
            if way * (index - at) >= 0
        ]
        for ago in range(1, most):
            memory = self._followed.get(index - way * ago)
            if memory is not None:
                found.append((ago, memory.pointer))
        network = self._core.network
        if not found:
            nothing = network.no_obj_ptr.new_zeros(0, MEMORY_WIDTH)
            return nothing, nothing
        ages = self._turns.new_tensor([age for age, _ in found])
        places = network.obj_ptr_tpos_proj(sine_line(ages / max(most - 1, 1), WIDTH))
        pointers = torch.cat([pointer for _, pointer in found])
        # A pointer is as wide as several cells of the memory.
        parts = WIDTH // MEMORY_WIDTH
        return pointers.unflatten(1, (parts, -1)).flatten(0, 1), places.repeat_interleave(parts, 0)


def _enlarged(masks: Tensor) -> Tensor:
    """(1, 1, s, s) logits to four times the side, that of the network's input."""
    return F.interpolate(masks, (4 * masks.shape[2], 4 * masks.shape[3]), mode="bilinear")
