"""Many prompts, in batches: picture by picture, and no more than a device's memory takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..promptable import Candidates, Prompts
from ..segmenter import DeviceMemoryError
from .prompts import Prompt
from .views import View

if TYPE_CHECKING:
    from .session import PromptSession


def by_picture(
    session: PromptSession, asked: Mapping[int, tuple[tuple[int, ...], Prompt]]
) -> list[tuple[tuple[int, ...], list[int]]]:
    """Put prompts of one picture together, as many as the device does well with.

    Parameters
    ----------
    session : PromptSession
    asked : mapping of int to (plane, Prompt)

    Returns
    -------
    list of (plane, list of int)
        Keys of ``asked``, in their order within each picture.
    """
    groups: dict[View, list[int]] = defaultdict(list)
    for i, (plane, prompt) in asked.items():
        groups[session.view_for(plane, prompt.region)].append(i)
    size = max(1, session.prompter.batch_size)
    return [
        (view.plane, members[begin : begin + size])
        for view, members in groups.items()
        for begin in range(0, len(members), size)
    ]


def in_batches(
    decode: Callable[[Prompts], Candidates],
    prompts: Prompts,
    size: int,
    shrunk: Callable[[int], None] = lambda size: None,
) -> Iterator[tuple[int, Candidates]]:
    """Decode prompts of one picture, fewer at a time where memory runs out.

    Parameters
    ----------
    decode : callable
    prompts : Prompts
    size : int
        How many at a time, to begin with.
    shrunk : callable, optional
        Told how many at a time from then on.

    Yields
    ------
    int, Candidates
        Number of the batch's first prompt, and its answers.

    Raises
    ------
    DeviceMemoryError
        If the device has not enough memory for one.
    """
    begin = 0
    while begin < len(prompts):
        batch = prompts.take(slice(begin, begin + size))
        try:
            found = decode(batch)
        except DeviceMemoryError:
            if len(batch) == 1:
                raise
            size = len(batch) // 2
            shrunk(size)
            continue
        yield begin, found
        begin += len(batch)


def join(batches: Sequence[tuple[int, Candidates]]) -> Candidates:
    """Join what `in_batches` gives, at least one batch; without logits."""
    parts = [part for _, part in batches]
    return Candidates(
        parts[0].picture_shape,
        np.concatenate([part.prompts + begin for begin, part in batches]),
        np.concatenate([part.outputs for part in parts]),
        np.concatenate([part.predicted_iou for part in parts]),
        np.concatenate([part.stability for part in parts]),
        tuple(mask for part in parts for mask in part.masks),
    )
