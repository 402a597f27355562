"""How well label images agree with the truth: AP, PQ, Dice, counts."""

from .matching import THRESHOLDS, Match, Score, match_labels, pool
from .report import Report, evaluate_folders

__all__ = [
    "THRESHOLDS",
    "Match",
    "Report",
    "Score",
    "evaluate_folders",
    "match_labels",
    "pool",
]
