"""The judges: who decides from a caption alone which activities it states. The config's section, and the registry. No torch.

`words` is no model: it is the label set's claims, read by `nrray.models.strategies.verdicts`.
"""

from enum import Enum

from pydantic import Field

from nrray.config import Section
from nrray.models.config import Device, Execution
from nrray.models.judges.judge import Judge
from nrray.models.judges.resolved import SMOLLM2, WORDS, ResolvedJudge, resolve_judge

__all__ = [
    "SMOLLM2",
    "WORDS",
    "Answering",
    "Judge",
    "JudgeDtype",
    "JudgeSection",
    "ResolvedJudge",
    "load_judge",
    "resolve_judge",
]


class JudgeDtype(str, Enum):
    """In which number format a judge runs: it can decide an answer, so that it is named, never chosen by the device."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class JudgeSection(Section):
    """Who judges captions, and how that model is run."""

    model: str = Field(
        WORDS,
        min_length=1,
        description="words: the claims of the label set, no model; smollm2: of the extra nrray[smollm2]; else the folder of a "
        "causal language model",
    )
    dtype: JudgeDtype = Field(JudgeDtype.FLOAT32, description="number format of the model")
    batch_prompts: int = Field(32, ge=1, le=4096, description="prompts that go through the model at once")
    answer_tokens: int = Field(
        0,
        ge=0,
        le=1024,
        description="of an answer about one activity at most; 0: its likeliest first token decides, and gives a score",
    )

    @property
    def is_words(self) -> bool:
        """Whether no model judges."""
        return self.model == WORDS

    def resolved(self) -> ResolvedJudge | None:
        """The model that judges, None where none does. Raises ModelError where it is not here."""
        return None if self.is_words else resolve_judge(self.model)


def load_judge(section: JudgeSection, judge: ResolvedJudge, *, execution: Execution) -> Judge:
    """The model, ready to judge on the device of `execution`. Raises ModelError, also where this node has another one."""
    from nrray.models.judges.transformers import TransformersJudge  # torch takes seconds to import

    return TransformersJudge(
        judge,
        device=Device(execution.device),
        dtype=section.dtype.value,
        batch_prompts=section.batch_prompts,
        num_threads=execution.num_threads,
    )
