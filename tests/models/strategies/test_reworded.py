"""The same question in other words."""

import pytest

from nrray.labels import read_label_set
from nrray.models import CheckpointChoice, YesNoStrategy, resolve_checkpoint
from nrray.models.strategies.head import HeadStrategy
from nrray.models.strategies.list import ListStrategy
from nrray.models.strategies.wording import Wording

LABELS = read_label_set()


@pytest.mark.parametrize("kind", [YesNoStrategy, ListStrategy])
@pytest.mark.parametrize("wording", list(Wording))
def test_it_is_asked_with_definitions_where_it_was_without_and_the_other_way_round(kind, wording):
    checkpoint = resolve_checkpoint(CheckpointChoice())
    strategy = kind(wording=wording)
    other = strategy.reworded(checkpoint, LABELS)
    assert other.wording is not wording
    assert other.prompts(checkpoint, LABELS) != strategy.prompts(checkpoint, LABELS)
    assert other.reworded(checkpoint, LABELS) == strategy


def test_a_label_set_without_definitions_has_no_other_words_and_neither_has_a_head():
    checkpoint = resolve_checkpoint(CheckpointChoice())
    bare = [
        activity.model_copy(update={"definition": None, "starts": None, "ends": None}) for activity in LABELS.activities
    ]
    assert YesNoStrategy().reworded(checkpoint, LABELS.model_copy(update={"activities": tuple(bare)})) is None
    assert HeadStrategy().reworded(checkpoint, LABELS) is None
