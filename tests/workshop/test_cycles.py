import json
from dataclasses import replace

import pytest
import torch

from nrray.train.objective import prior_log_odds
from nrray.workshop.cycles import train_in_cycles
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
    assert json.loads((tmp_path / "cycle-0/record.json").read_text())["recipe"]["num_steps"] == 3


def test_weights_are_rounded_as_they_will_be_stored(windows, tmp_path):
    weights, _ = cycled(windows, tmp_path, num_cycles=1)
    embedding = weights["model.language_model.embed_tokens.weight"]
    assert torch.equal(embedding, embedding.half().float())


def test_the_head_of_a_later_cycle_goes_on_from_what_it_learned(windows, tmp_path):
    still = SHORT.model_copy(update={"num_steps": 1, "peak_learning_rate": 1e-12})
    learned, _ = cycled(windows, tmp_path, num_cycles=1)
    record = tmp_path / "cycle-0/record.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "recipe": still.model_dump(mode="json")}))
    again, _ = cycled(windows, tmp_path, num_cycles=2, config=still)
    prior = prior_log_odds(windows.targets.mean(axis=0))
    assert torch.allclose(again["out.bias"], learned["out.bias"], atol=1e-6)
    assert not torch.allclose(again["out.bias"], prior, atol=1e-3)
