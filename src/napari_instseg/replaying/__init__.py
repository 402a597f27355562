"""A recipe, run again."""

from .checks import image_for
from .replay import Replay, Replayed, replay

__all__ = ["Replay", "Replayed", "image_for", "replay"]
