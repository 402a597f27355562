"""How well label images agree with the truth: AP, PQ, Dice, counts, errors."""

from .matching import ALL_THRESHOLDS, THRESHOLDS
from .report import Report, evaluate_folders
from .scores import CategoryScore, Match, Score, pool
from .scoring import match_labels

__all__ = [
    "ALL_THRESHOLDS",
    "THRESHOLDS",
    "CategoryScore",
    "Match",
    "Report",
    "Score",
    "evaluate_folders",
    "match_labels",
    "pool",
]
