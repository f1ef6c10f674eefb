"""Answers that are held to a JSON schema: whatever the model, they are such objects, beside free answers in the same batch."""

import json
import sys
from dataclasses import replace

import pytest

from nrray.errors import ModelError
from nrray.models import CheckpointChoice, Execution, resolve_checkpoint
from nrray.models.engines.asking import AskedAnew
from nrray.models.engines.engine import Decoding, Question
from nrray.models.engines.transformers import TransformersEngine
from nrray.models.measure import synthetic_frames

SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"ventilation": {"type": "boolean"}, "suction": {"enum": ["yes", "no", "unsure"]}},
        "required": ["ventilation", "suction"],
        "additionalProperties": False,
    }
)
FREE = Question(name="free", text="Well?", choices=(("yes",), ("no",)), max_tokens=12)
HELD = Question(name="held", text="Which activities?", choices=(("yes",), ("{",)), max_tokens=64, schema=SCHEMA)


@pytest.fixture(params=["fast_vlm", "qwen2_5_vl"])
def engine(request, checkpoint_of):
    checkpoint = resolve_checkpoint(CheckpointChoice(path=str(checkpoint_of(request.param))))
    return TransformersEngine(checkpoint, execution=Execution(micro_batch_windows=2))


@pytest.mark.parametrize("decoding", [Decoding(), Decoding(temperature=1.5, seed=1)])
def test_an_answer_keeps_to_its_schema_and_changes_no_other(engine, decoding, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=3)
    found = engine.ask(unit, [FREE, HELD], decoding=decoding)
    for _, held in found.texts:
        answer = json.loads(held)
        assert isinstance(answer.pop("ventilation"), bool)
        assert answer.pop("suction") in ("yes", "no", "unsure")
        assert not answer
    free, unheld = engine.ask(unit, [FREE], decoding=decoding), engine.ask(unit, [replace(HELD, schema=None)])
    assert [texts[0] for texts in found.texts] == [texts[0] for texts in free.texts]
    # Probabilities are the model's own, not those among what the schema allows.
    assert found.probabilities[1] == pytest.approx(unheld.probabilities[0], rel=1e-4)


def test_asked_anew_an_answer_keeps_to_its_schema_too(engine, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=2)
    anew = AskedAnew(engine.checkpoint.family.runner(engine.checkpoint))
    anew.begin(unit, [FREE, HELD], Decoding())
    assert anew.answered(slice(0, 2)).texts == engine.ask(unit, [FREE, HELD]).texts


def test_a_schema_that_cannot_be_kept_is_refused(engine, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=1)
    for schema in ('{"type": "telegram"}', "no JSON"):
        with pytest.raises(ModelError, match="found a JSON schema that answers cannot be held to"):
            engine.ask(unit, [replace(HELD, schema=schema)])


def test_without_the_library_the_extra_is_named(engine, small_sampling, monkeypatch):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(ModelError, match=r"pip install 'nrray\[schema\]'"):
        engine.ask(synthetic_frames(small_sampling, num_windows=1), [HELD])
