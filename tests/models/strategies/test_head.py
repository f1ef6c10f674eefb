import shutil

import numpy as np
import pytest
import torch

from nrray.errors import ModelError
from nrray.models import Pooling, check_sampling
from nrray.models.families.family import WindowRunner
from nrray.models.head import Head, add_query
from nrray.models.measure import synthetic_frames
from nrray.sampling import Sampling
from nrray.types import STATE_INDEX, Frames, LabelState
from tests.checkpoints import HIDDEN_SIZE
from tests.model_fixtures import labeler_of, loaded


@pytest.fixture(params=["image_folder", "video_folder"])
def head_folder(request, tmp_path, label_set, small_sampling, add_head):
    folder = shutil.copytree(request.getfixturevalue(request.param), tmp_path / "model")
    return add_head(folder, label_set=label_set, sampling=small_sampling)


def test_any_family_of_checkpoint_labels_through_the_same_code(head_folder, label_set, small_sampling):
    labeler = labeler_of(head_folder, label_set)
    labels = labeler.label(synthetic_frames(small_sampling, num_windows=5))
    assert labeler.info.sampling == small_sampling
    assert labels.scores.shape == labels.states.shape == (5, 4)
    assert labels.scores.dtype == np.float32
    assert ((labels.scores > 0) & (labels.scores < 1)).all()
    assert set(np.unique(labels.states)) <= {STATE_INDEX[LabelState.PRESENT], STATE_INDEX[LabelState.ABSENT]}
    assert labels.answers is None


def test_the_micro_batch_does_not_change_scores(head_folder, label_set, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=5)
    alone, together = (
        labeler_of(head_folder, label_set, micro_batch_windows=size).label(unit).scores for size in (1, 4)
    )
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_a_unit_without_windows_has_no_labels(head_folder, label_set, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=1)
    empty = Frames(
        pixels=unit.pixels,
        pts_us=unit.pts_us,
        window_frames=unit.window_frames[:0],
        window_start_us=unit.window_start_us[:0],
        window_end_us=unit.window_end_us[:0],
        frames_per_second=unit.frames_per_second,
    )
    labels = labeler_of(head_folder, label_set).label(empty)
    assert labels.scores.shape == (0, 4)


def test_the_last_token_and_the_mean_of_the_frames_are_pooled_as_named(image_folder, small_sampling):
    runner = WindowRunner(loaded(image_folder))
    unit = synthetic_frames(small_sampling, num_windows=1)
    with torch.inference_mode():
        forward = runner.unit_forward(unit, question="Well?", micro_batch_windows=1)
        states = forward(slice(0, 1))
    heads = {pooling: Head(hidden_size=HIDDEN_SIZE, num_activities=2, pooling=pooling) for pooling in Pooling}
    for pooling in (Pooling.LAST, Pooling.QUERY):
        torch.testing.assert_close(heads[pooling].pooled(states), states.hidden[:, -1])
    frame_tokens = states.hidden[0, states.frame_tokens[0]]
    assert len(frame_tokens) == 6 * 4
    with torch.inference_mode():
        for pooling in (Pooling.MEAN_FRAMES, Pooling.ATTENTION):  # attention that has learned nothing is the mean
            torch.testing.assert_close(heads[pooling].pooled(states)[0], frame_tokens.mean(dim=0))
        heads[Pooling.ATTENTION].query.copy_(100 * frame_tokens[5])
        found = heads[Pooling.ATTENTION].pooled(states)[0]
    torch.testing.assert_close(found, frame_tokens[(frame_tokens @ frame_tokens[5]).argmax()])


@pytest.mark.parametrize("folder", ["image_folder", "video_folder"])
def test_a_learned_query_is_seen_by_the_model_and_starts_as_the_last_token(request, folder, small_sampling):
    unit = synthetic_frames(small_sampling, num_windows=2)
    scores = []
    for value in (None, 0.0, 1.0):
        checkpoint = loaded(request.getfixturevalue(folder))
        head = Head(hidden_size=HIDDEN_SIZE, num_activities=2, pooling=Pooling.QUERY)
        head.out.weight.data = torch.linspace(-1, 1, 2 * HIDDEN_SIZE).view(2, HIDDEN_SIZE)
        head.start_at(torch.zeros(2))
        if value is not None:
            torch.nn.init.constant_(head.query, value)
            add_query(checkpoint.model, head)
        with torch.inference_mode():
            runner = checkpoint.family.runner(checkpoint)
            forward = runner.unit_forward(unit, question="Well?", micro_batch_windows=2)
            scores.append(head(forward(slice(0, 2))))
    torch.testing.assert_close(scores[0], scores[1])
    assert (scores[0] - scores[2]).abs().max() > 1e-3


def test_frames_of_another_sampling_are_refused(head_folder, label_set, small_sampling):
    labeler = labeler_of(head_folder, label_set)
    other = small_sampling.model_copy(update={"window_seconds": 2.0})
    with pytest.raises(ModelError, match=r"found windows of 4 frames of 64x64 px, expected 6"):
        labeler.label(synthetic_frames(other, num_windows=2))


def test_a_run_may_change_the_stride_and_nothing_else(head_folder, label_set, small_sampling):
    info = labeler_of(head_folder, label_set).info
    check_sampling(small_sampling.model_copy(update={"stride_seconds": 2.0}), trained=small_sampling, name="x")
    with pytest.raises(ModelError, match=r"frames_per_second=2.*frames_per_second=4"):
        check_sampling(
            Sampling.model_validate({"frame_width_px": 64, "frame_height_px": 64}), trained=info.sampling, name="x"
        )
