"""Outputs of the release before recorded no strategy; the one that is put in its place is what the strategies still do."""

from nrray.labels import read_label_set
from nrray.models.strategies.yes_no import INSTRUCTION
from nrray.results.identity import strategy_of_release_before


def test_an_unrecorded_strategy_in_words_asked_the_label_sets_questions_with_the_instruction_of_today():
    label_set = read_label_set()
    strategy = strategy_of_release_before(label_set, has_head=False)
    assert strategy["instruction"] == INSTRUCTION
    assert strategy["prompts"] == {activity.name: activity.question for activity in label_set.activities}
