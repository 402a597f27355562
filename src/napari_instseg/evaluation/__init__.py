"""How well label images agree with the truth: AP, PQ, Dice, counts, errors."""

from .assessment import Assessment, assess
from .evaluating import evaluate
from .folders import evaluate_folders
from .matching import ALL_THRESHOLDS, THRESHOLDS, thresholds_from
from .options import Options
from .report import Report
from .scores import CategoryScore, Match, Score, pool
from .scoring import match_labels

__all__ = [
    "ALL_THRESHOLDS",
    "THRESHOLDS",
    "Assessment",
    "CategoryScore",
    "Match",
    "Options",
    "Report",
    "Score",
    "assess",
    "evaluate",
    "evaluate_folders",
    "match_labels",
    "pool",
    "thresholds_from",
]
