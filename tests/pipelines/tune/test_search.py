"""The training with the config's own values is reported as trials are, and ends with the budget."""

from nrray.pipelines.on_ray.pruning import Budget
from nrray.pipelines.tune.search import WithinBudget
from nrray.train.output import STOP_FILE


class Counted:
    def __init__(self):
        self.count = 0

    def report(self):
        self.count += 1


def test_a_training_is_asked_to_stop_once_the_budget_is_over(tmp_path):
    reported = Counted()
    WithinBudget(reported, tmp_path, Budget(tmp_path, None)).report()
    WithinBudget(reported, tmp_path, Budget(tmp_path, 60.0)).report()
    assert not (tmp_path / STOP_FILE).exists()
    WithinBudget(reported, tmp_path, Budget(tmp_path, -1.0)).report()
    assert (tmp_path / STOP_FILE).exists()
    assert reported.count == 3
