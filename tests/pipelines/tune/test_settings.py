"""A search tries every setting once: a grid where the space has no more, else distinct draws; a searcher is asked again."""

import pickle

import pytest

from nrray.models import CheckpointChoice, resolve_checkpoint
from nrray.models.config import PartsSection
from nrray.pipelines.on_ray.distinct_search import DistinctSearch
from nrray.pipelines.search_sections import Range, Scale, SearchSection
from nrray.pipelines.tune.settings import TrialSettings, planned_trials
from nrray.train.start import default_parts, family_of

OWN = {"adapter.rank": 16, "head.pooling": "mean_frames"}


@pytest.fixture(scope="module")
def settings():
    start = resolve_checkpoint(CheckpointChoice())
    return TrialSettings(section=PartsSection(), start=start, defaults=default_parts(family_of(start)), own=OWN)


def search(**changes):
    return SearchSection.model_validate(changes)


def test_a_space_with_no_more_settings_than_trials_is_a_grid_without_the_config_s_own(settings):
    space = {"adapter.rank": (8, 16), "head.pooling": ("mean_frames", "attention")}
    planned = planned_trials(settings, space, search(num_trials=3))
    assert planned.is_grid
    assert planned.text() == "all 3 other settings that the space has (a grid)"
    assert {tuple(values.values()) for values in planned.values} == {
        (8, "mean_frames"),
        (8, "attention"),
        (16, "attention"),
    }


def test_a_value_that_is_given_twice_is_tried_once(settings):
    planned = planned_trials(settings, {"adapter.rank": (8, 8, 32, 8)}, search(num_trials=16))
    assert [values["adapter.rank"] for values in planned.values] == [8, 32]


def test_values_without_effect_make_no_other_setting(settings):
    """The rate of a tower that stays frozen changes nothing."""
    space = {"parts.tower": ("frozen", "adapter"), "training.tower_learning_rate": (1e-4, 1e-3)}
    planned = planned_trials(settings, space, search(num_trials=16))
    assert planned.is_grid
    assert sorted(values["parts.tower"] for values in planned.values) == ["adapter", "adapter", "frozen"]


@pytest.mark.parametrize("seed", range(5))
def test_of_a_larger_space_of_values_each_is_drawn_once(settings, seed):
    space = {"adapter.rank": (1, 2, 4, 8), "head.pooling": ("mean_frames", "last", "query", "attention")}
    planned = planned_trials(settings, space, search(num_trials=14, seed=seed))
    assert not planned.is_grid
    assert len({settings.key(values) for values in planned.values}) == planned.num_trials == 14
    again = planned_trials(settings, space, search(num_trials=14, seed=seed))
    assert again == planned  # a killed search goes on with the same trials


def test_ranges_are_drawn_within_their_ends_on_their_scale(settings):
    rates = Range(low=1e-6, high=1e-2, scale=Scale.LOG)
    space = {"training.learning_rate": rates, "adapter.dropout": Range(low=0.0, high=0.5)}
    planned = planned_trials(settings, space, search(num_trials=200))
    drawn = [values["training.learning_rate"] for values in planned.values]
    assert planned.num_trials == 200
    assert all(1e-6 <= rate <= 1e-2 for rate in drawn)
    assert 0.35 < sum(rate < 1e-4 for rate in drawn) / 200 < 0.65
    assert all(0 <= values["adapter.dropout"] <= 0.5 for values in planned.values)


def test_a_searcher_is_left_a_space_that_is_no_grid_and_not_one_that_is(settings):
    optuna = search(num_trials=3, searcher="optuna")
    ranks = {"adapter.rank": (1, 2, 4, 8, 32)}
    assert planned_trials(settings, ranks, optuna).values is None
    assert planned_trials(settings, {"adapter.rank": (1, 2)}, optuna).is_grid


class Repeating:
    """Suggests a list of values in turn, and notes what it is told."""

    def __init__(self, values):
        self.values, self.told = list(values), []

    def set_search_properties(self, metric, mode, config, **spec):
        return True

    def suggest(self, trial_id):
        return {"rank": self.values.pop(0)}

    def on_trial_complete(self, trial_id, result=None, error=False):
        self.told.append((trial_id, result, error))

    def save(self, path):
        with open(path, "wb") as file:
            pickle.dump(self.values, file)

    def restore(self, path):
        with open(path, "rb") as file:
            self.values = pickle.load(file)


def key(values):
    return "" if values["rank"] == 16 else str(values["rank"])


def distinct(inner):
    searcher = DistinctSearch(inner, key)
    searcher.set_search_properties("score", "max", {})
    return searcher


def test_what_a_searcher_suggests_again_is_told_with_its_score_and_not_tried():
    inner = Repeating([4, 4, 16, 8])
    searcher = distinct(inner)
    assert searcher.suggest("a") == {"rank": 4}
    searcher.on_trial_complete("a", {"score": 0.5})
    assert searcher.suggest("b") == {"rank": 8}
    assert inner.told == [("a-0", {"score": 0.5}, False), ("b-0", {"score": 0.5}, False), ("b-1", None, True)]
    searcher.on_trial_complete("b", error=True)
    assert inner.told[-1] == ("b-2", None, True)


def test_a_searcher_that_finds_nothing_new_ends_the_search():
    searcher = distinct(Repeating([4] * 1000))
    assert searcher.suggest("a") == {"rank": 4}
    assert searcher.suggest("b") == DistinctSearch.FINISHED


def test_a_searcher_that_is_restored_knows_what_was_tried(tmp_path):
    searcher = distinct(Repeating([4, 4, 8]))
    searcher.suggest("a")
    searcher.save(str(tmp_path / "state"))
    again = distinct(Repeating([]))
    again.restore(str(tmp_path / "state"))
    assert again.suggest("b") == {"rank": 8}
