"""Segmentation by prompts: clicks, boxes, masks; everything; one object through a stack."""

from .prompts import Candidate, Prompt
from .session import PromptSession
from .views import Region, View

__all__ = ["Candidate", "Prompt", "PromptSession", "Region", "View"]
