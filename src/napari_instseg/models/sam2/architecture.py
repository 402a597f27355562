"""The sizes in which Segment Anything 2.1 is published."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Architecture:
    """What tells one size from another; all else is the same in all of them.

    Parameters
    ----------
    name : str
    width : int
        Channels of the encoder's first stage; each stage doubles them.
    heads : int
        Attention heads of the first stage; each stage doubles them.
    stages : tuple of int
        Blocks in each stage.
    global_blocks : tuple of int
        Blocks that attend to the whole picture, not to windows.
    windows : tuple of int
        Side of each stage's windows, tokens.
    background : int
        Side of the grid of learned positions that is stretched over the picture.
    """

    name: str
    width: int
    heads: int
    stages: tuple[int, ...]
    global_blocks: tuple[int, ...]
    windows: tuple[int, ...] = (8, 4, 14, 7)
    background: int = 7

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.width << stage for stage in range(len(self.stages)))


#: Named as the files are; the settings are those of the reference's configs.
SIZES = (
    Architecture("tiny", 96, 1, (1, 2, 7, 2), (5, 7, 9)),
    Architecture("small", 96, 1, (1, 2, 11, 2), (7, 10, 13)),
    Architecture("base+", 112, 2, (2, 3, 16, 3), (12, 16, 20), background=14),
    Architecture("large", 144, 2, (2, 6, 36, 4), (23, 33, 43), (8, 4, 16, 8)),
)
#: Side of the pictures that the network takes, px.
INPUT_SIZE = 1024
#: Channels of the embedding, and of the memory.
WIDTH, MEMORY_WIDTH = 256, 64
#: Pixels to a cell of the embedding's coarsest map.
STRIDE = 16
