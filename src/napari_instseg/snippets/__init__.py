"""What a dock does as lines of Python, and as a command: to be copied, and run as they are."""

from .batch import batch_command, batch_python
from .evaluate import evaluate_command, evaluate_python
from .everything import Everything, everything_command, everything_python
from .segment import segment_command, segment_python
from .source import Source

__all__ = [
    "Everything",
    "Source",
    "batch_command",
    "batch_python",
    "evaluate_command",
    "evaluate_python",
    "everything_command",
    "everything_python",
    "segment_command",
    "segment_python",
]
