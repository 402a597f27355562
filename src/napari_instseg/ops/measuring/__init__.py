"""Size, place, shape and intensity of each object of a label image, larger than memory or not."""

from .columns import MEASURES
from .labels import measure_labels

__all__ = ["MEASURES", "measure_labels"]
