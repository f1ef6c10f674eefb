import json
from dataclasses import replace

import pytest
import torch

from nrray.train.objective import prior_log_odds
from nrray.workshop import cycles
from nrray.workshop.cycles import train_in_cycles
from nrray.workshop.recipe import train_vlm
from tests.workshop.toy_vlm import TOY, OneQuestion, separable_windows, tiny_vlm

SHORT = TOY.model_copy(update={"num_steps": 4})


@pytest.fixture(scope="module")
def windows():
    return separable_windows()


def cycled(windows, work, *, num_cycles, config=SHORT):
    vlm = tiny_vlm()
    vlm = replace(vlm, tail=vlm.tail.requires_grad_(False))  # no part of the toy's model
    record = train_in_cycles(vlm, windows, config, num_cycles=num_cycles, dialogues=OneQuestion(), work=work)
    weights = {**vlm.model.state_dict(), **vlm.head.state_dict()}
    return {name: tensor.clone() for name, tensor in weights.items()}, record


def same(ours, theirs):
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_second_run_goes_on_behind_the_cycles_that_stand(windows, tmp_path):
    once, _ = cycled(windows, tmp_path / "a", num_cycles=2)
    first, _ = cycled(windows, tmp_path / "b", num_cycles=1)
    written = (tmp_path / "b/cycle-0/weights.pt").stat().st_mtime_ns
    continued, record = cycled(windows, tmp_path / "b", num_cycles=2)
    assert not same(first, once)
    assert all(torch.allclose(continued[name], once[name], atol=1e-3) for name in once)
    assert (tmp_path / "b/cycle-0/weights.pt").stat().st_mtime_ns == written
    assert record.windows_seen == 2 * SHORT.num_steps * SHORT.batch_windows
    assert len(record.losses) == 2 * SHORT.num_steps


def test_a_cycle_of_another_recipe_is_trained_again(windows, tmp_path):
    cycled(windows, tmp_path, num_cycles=1)
    other, _ = cycled(windows, tmp_path, num_cycles=1, config=SHORT.model_copy(update={"num_steps": 3}))
    fresh, _ = cycled(windows, tmp_path / "fresh", num_cycles=1, config=SHORT.model_copy(update={"num_steps": 3}))
    assert same(other, fresh)
    assert json.loads((tmp_path / "cycle-0/record.json").read_text())["made_of"]["recipe"]["num_steps"] == 3


def test_a_cycle_of_other_windows_is_trained_again(windows, tmp_path):
    cycled(windows, tmp_path, num_cycles=1)
    others = replace(windows, targets=~windows.targets)
    other, _ = cycled(others, tmp_path, num_cycles=1)
    fresh, _ = cycled(others, tmp_path / "fresh", num_cycles=1)
    assert same(other, fresh)


def test_weights_are_rounded_as_they_will_be_stored(windows, tmp_path):
    weights, _ = cycled(windows, tmp_path, num_cycles=1)
    embedding = weights["model.language_model.embed_tokens.weight"]
    assert torch.equal(embedding, embedding.half().float())


def test_the_head_of_a_later_cycle_goes_on_from_what_it_learned(windows, tmp_path):
    learned, _ = cycled(windows, tmp_path, num_cycles=1)
    vlm = tiny_vlm()
    vlm.head.out.bias.data.copy_(learned["out.bias"])
    still = SHORT.model_copy(update={"num_steps": 1, "peak_learning_rate": 1e-12})
    for is_new, expected in ((False, learned["out.bias"]), (True, prior_log_odds(windows.targets.mean(axis=0)))):
        train_vlm(vlm, windows, still, dialogues=OneQuestion(), report=lambda step, loss: None, is_new=is_new)
        assert torch.allclose(vlm.head.out.bias.detach(), expected.float(), atol=1e-5)
    assert not torch.allclose(learned["out.bias"], expected.float(), atol=1e-3)


def test_only_the_first_cycle_has_a_new_head(windows, tmp_path, monkeypatch):
    seen = []

    def watched(*arguments, is_new, **options):
        seen.append(is_new)
        return train_vlm(*arguments, is_new=is_new, **options)

    monkeypatch.setattr(cycles, "train_vlm", watched)
    cycled(windows, tmp_path, num_cycles=2)
    assert seen == [True, False]
