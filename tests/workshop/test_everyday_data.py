import numpy as np
import pytest

from nrray.models.strategies.yes_no import INSTRUCTION
from nrray.sampling import Sampling
from nrray.workshop.everyday import everyday_scene
from nrray.workshop.everyday_captions import BLANK_CAPTION, caption_of, facts_of
from nrray.workshop.everyday_data import (
    WINDOWS_PER_SCENE,
    EverydayLessons,
    EverydayScenes,
    blank_chunk,
    scene_chunk,
    stored_scenes,
)
from nrray.workshop.vlm import CAPTION_PROMPT
from nrray.workshop.window_store import case_subset, write_windows

SMALL = Sampling(frames_per_second=4.0, window_seconds=1.5, stride_seconds=1.0, frame_width_px=64, frame_height_px=64)
SCENES = EverydayScenes(num_train=2, num_test=1, seed=4)


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    chunks = [scene_chunk(case, (4, 0, case), sampling=SMALL) for case in range(3)]
    return write_windows([*chunks, blank_chunk(SCENES, sampling=SMALL)], tmp_path_factory.mktemp("store"))


def test_a_scene_s_windows_overlap_and_say_its_facts(windows):
    one = case_subset(windows, [1])
    assert len(one.window_frames) == WINDOWS_PER_SCENE
    assert (np.diff(one.window_frames, axis=0) == 1).all()
    assert set(one.captions) == {caption_of(facts_of(everyday_scene(4, 0, 1)))}
    assert one.targets.shape == (WINDOWS_PER_SCENE, 0)  # there are no activities


def test_train_and_test_share_no_scene_and_blank_frames_train(windows):
    assert not set(SCENES.train_cases) & set(SCENES.test_cases)
    assert sorted([*SCENES.train_cases, *SCENES.test_cases]) == np.unique(windows.cases).tolist()
    assert set(windows.captions[windows.cases == SCENES.train_cases[-1]]) == {BLANK_CAPTION}


def test_scenes_that_are_stored_are_not_drawn_again(tmp_path):
    first = stored_scenes(tmp_path / "frames", SCENES, sampling=SMALL, num_workers=1)
    written = (tmp_path / "frames" / "frames.u8").stat().st_mtime_ns
    again = stored_scenes(tmp_path / "frames", SCENES, sampling=SMALL, num_workers=1)
    assert (tmp_path / "frames" / "frames.u8").stat().st_mtime_ns == written
    np.testing.assert_array_equal(first.pixels, again.pixels)


def test_most_lessons_are_captions_and_the_others_questions_with_one_word_for_an_answer(windows):
    random = np.random.default_rng(0)
    lessons = [EverydayLessons().drawn(windows, row % len(windows.captions), random) for row in range(400)]
    captions = [row for row, (question, _) in enumerate(lessons) if question == CAPTION_PROMPT]
    assert 200 < len(captions) < 280
    assert all(lessons[row][1] == windows.captions[row % len(windows.captions)] for row in captions)
    others = [lesson for lesson in lessons if lesson[0] != CAPTION_PROMPT]
    assert all(question.endswith(f"? {INSTRUCTION}") and answer in ("yes", "no") for question, answer in others)
