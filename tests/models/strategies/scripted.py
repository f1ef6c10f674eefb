"""An engine that answers from a script, for the tests of what strategies ask and read."""

import numpy as np

from nrray.labels import LabelSet
from nrray.models import CheckpointChoice, resolve_checkpoint
from nrray.models.engines.engine import Replies
from nrray.models.strategies.prompted import PromptedLabeler
from nrray.types import Frames


class Scripted:
    """Gives each question the next texts of its script, or the next rows of choices' probabilities."""

    info = None

    def __init__(self, script):
        self.script, self.asked, self.decoded = iter(script), [], []

    def ask(self, frames, questions, *, decoding):
        self.asked += questions
        self.decoded.append(decoding)
        given = [next(self.script) for _ in questions]
        shape = (len(given[0]), len(questions))
        texts = [["" if not isinstance(each, str) else each for each in of_question] for of_question in given]
        return Replies(
            texts=[list(of_window) for of_window in zip(*texts, strict=True)],
            probabilities=[
                np.float32([[0.3, 0.1] if isinstance(each, str) else each for each in of_question]).reshape(
                    shape[0], max(len(question.choices), 2)
                )
                for question, of_question in zip(questions, given, strict=True)
            ],
            num_tokens=np.ones(shape, np.int32),
            seconds=np.zeros(shape, np.float32),
        )


NO_FRAMES = Frames(
    pixels=np.zeros((0, 1, 1, 3), np.uint8),
    pts_us=np.zeros(0, np.int64),
    window_frames=np.zeros((0, 1), np.int32),
    window_start_us=np.zeros(0, np.int64),
    window_end_us=np.zeros(0, np.int64),
    frames_per_second=1.0,
)


def labelled(strategy, label_set: LabelSet, script):
    """The engine, and the labels of as many windows as each question has answers in the script."""
    engine = Scripted(script)
    questions = strategy.asked(resolve_checkpoint(CheckpointChoice()), label_set)
    return engine, PromptedLabeler(engine, strategy, questions, label_set=label_set).label(NO_FRAMES)
