import pytest
import torch

from nrray.errors import ModelError
from nrray.models.families.family import HiddenStates
from nrray.models.head import Head, add_query, load_head, save_head
from nrray.models.metadata import CheckpointMetadata, Pooling, trained_labels


def states_of(hidden, *, attended=None, frame_tokens=None, dtype=torch.float32):
    everything = torch.ones(hidden.shape[:2], dtype=torch.bool)
    return HiddenStates(
        hidden=hidden.to(dtype),
        attended=everything if attended is None else torch.tensor(attended, dtype=torch.bool),
        frame_tokens=everything if frame_tokens is None else torch.tensor(frame_tokens, dtype=torch.bool),
    )


def head_of(pooling, *, hidden_size=3, num_activities=2, hidden_units=None):
    return Head(hidden_size=hidden_size, num_activities=num_activities, pooling=pooling, hidden_units=hidden_units)


HIDDEN = torch.tensor([[[1.0, 0, 0], [0, 2, 0], [0, 0, 3]], [[4.0, 0, 0], [0, 5, 0], [0, 0, 6]]])


def test_the_last_attended_token_is_read_on_whatever_side_the_padding_stands():
    states = states_of(HIDDEN, attended=[[0, 1, 1], [1, 1, 0]])
    torch.testing.assert_close(head_of(Pooling.LAST).pooled(states), torch.tensor([[0, 0, 3.0], [0, 5.0, 0]]))


def test_the_mean_is_over_frame_tokens_alone_and_zero_without_any():
    states = states_of(HIDDEN, frame_tokens=[[1, 1, 0], [0, 0, 0]])
    torch.testing.assert_close(head_of(Pooling.MEAN_FRAMES).pooled(states), torch.tensor([[0.5, 1, 0], [0, 0, 0]]))


def test_attention_is_a_softmax_over_frame_tokens_scaled_by_the_root_of_the_width():
    head = head_of(Pooling.ATTENTION)
    head.query.data = torch.tensor([1.0, 0.5, 9.0])
    states = states_of(HIDDEN[:1], frame_tokens=[[1, 1, 0]])
    weights = torch.softmax(torch.tensor([1.0, 1.0]) / 3**0.5, dim=0)
    torch.testing.assert_close(
        head.pooled(states), torch.stack([weights[0] * 1, weights[1] * 2, torch.zeros(())])[None]
    )
    head.query.data = torch.tensor([2.0, 0.5, 9.0])
    weights = torch.softmax(torch.tensor([2.0, 1.0]) / 3**0.5, dim=0)
    torch.testing.assert_close(
        head.pooled(states), torch.stack([weights[0] * 1, weights[1] * 2, torch.zeros(())])[None]
    )


@pytest.mark.parametrize("pooling", list(Pooling))
def test_logits_are_float32_whatever_the_model_runs_in(pooling):
    found = head_of(pooling)(states_of(HIDDEN, dtype=torch.bfloat16))
    assert found.dtype == torch.float32
    assert found.shape == (2, 2)


def test_a_hidden_layer_is_read_behind_a_relu():
    head = head_of(Pooling.LAST, num_activities=1, hidden_units=2)
    for layer, weight in ((head.hidden, [[0, 0, 1.0], [0, 0, -1.0]]), (head.out, [[1.0, 1.0]])):
        layer.weight.data, layer.bias.data = torch.tensor(weight), torch.zeros(len(weight))
    torch.testing.assert_close(head(states_of(HIDDEN)), torch.tensor([[3.0], [6.0]]))


def test_a_head_starts_at_the_odds_that_it_is_given():
    head = head_of(Pooling.LAST)
    for odds in ([3.0, 3.0], [-1.5, 2.0]):
        head.start_at(torch.tensor(odds))
        assert head.out.bias.tolist() == odds


class Words(torch.nn.Module):
    """A model that has embeddings and nothing else."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(4, 3)

    def get_input_embeddings(self):
        return self.table


@pytest.mark.parametrize("pooling", list(Pooling))
def test_a_query_is_added_to_the_last_token_alone_and_by_its_pooling_alone(pooling):
    model, head, tokens = Words(), head_of(pooling), torch.tensor([[0, 1, 2], [3, 3, 3]])
    before = model.table(tokens)
    if head.query is not None:
        assert head.query.tolist() == [0, 0, 0]
        head.query.data = torch.tensor([1.0, 2.0, 3.0])
    add_query(model, head)
    added = model.table(tokens) - before
    torch.testing.assert_close(added[:, :-1], torch.zeros(2, 2, 3))
    expected = torch.tensor([1.0, 2.0, 3.0]) if pooling is Pooling.QUERY else torch.zeros(3)
    torch.testing.assert_close(added[:, -1], expected.expand(2, 3))


def metadata_of(label_set, sampling, *, pooling=Pooling.LAST, hidden_units=None):
    return CheckpointMetadata(
        name="tiny",
        labels=trained_labels(label_set),
        sampling=sampling,
        prompt="Which activities are going on?",
        pooling=pooling,
        hidden_units=hidden_units,
        thresholds=dict.fromkeys(label_set.names, 0.5),
    )


def test_a_saved_head_comes_back_frozen_and_in_float32(tmp_path, label_set, small_sampling):
    head = head_of(Pooling.ATTENTION, num_activities=4, hidden_units=2)
    file = save_head(head.to(torch.bfloat16), tmp_path)
    assert file.parent == tmp_path
    metadata = metadata_of(label_set, small_sampling, pooling=Pooling.ATTENTION, hidden_units=2)
    loaded = load_head(tmp_path, metadata=metadata, hidden_size=3)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(tensor, head.state_dict()[name].float())


@pytest.mark.parametrize("change", [{"hidden_size": 5}, {"num_activities": 3}, {"hidden_units": 2}])
def test_a_head_that_does_not_fit_is_refused(tmp_path, label_set, small_sampling, change):
    save_head(head_of(Pooling.LAST, **{"num_activities": 4, **change}), tmp_path)
    with pytest.raises(ModelError, match="Train the model again for this label set"):
        load_head(tmp_path, metadata=metadata_of(label_set, small_sampling), hidden_size=3)


@pytest.mark.parametrize("content", [None, b"", b"no tensors"])
def test_a_head_that_cannot_be_read_is_named(tmp_path, label_set, small_sampling, content):
    if content is not None:
        (tmp_path / "head.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"head\.safetensors cannot be read"):
        load_head(tmp_path, metadata=metadata_of(label_set, small_sampling), hidden_size=3)
