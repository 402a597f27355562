"""One object followed through a stack or through time, from the planes where it is known."""

from .result import Propagated, Section
from .run import PropagationRun, propagate
from .settings import PropagationSettings

__all__ = ["Propagated", "PropagationRun", "PropagationSettings", "Section", "propagate"]
