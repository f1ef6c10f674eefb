"""Engines, which run a model that answers in words: a library in the labeler, or a server. No torch.

A new one is a file beside this one, and its section in `sections.py`, in the union `EngineChoice`.
"""

from nrray.models.engines.engine import Choice, Decoding, Engine, Question, Replies
from nrray.models.engines.sections import EngineChoice, EngineSection, OpenAiSection, TransformersSection, VllmSection

__all__ = [
    "Choice",
    "Decoding",
    "Engine",
    "EngineChoice",
    "EngineSection",
    "OpenAiSection",
    "Question",
    "Replies",
    "TransformersSection",
    "VllmSection",
]
