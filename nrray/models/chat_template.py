"""Chat templates are programs that come with a checkpoint: transformers runs them in a sandbox, and this for a bounded time."""

import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

from nrray.errors import ModelError

MAX_SECONDS = 5.0
"""Of this thread alone; a template takes milliseconds."""


class _TooLongError(Exception):
    pass


def chat_text(renderer: Any, messages: Sequence[dict[str, Any]], *, name: str, **settings: Any) -> str:
    """The text of messages by the chat template of `renderer`, a processor or tokenizer of the checkpoint `name`. Raises
    ModelError where the template does not end, and what transformers raises."""
    until = time.thread_time() + MAX_SECONDS

    def traced(frame: FrameType, event: str, argument: Any) -> Any:
        if time.thread_time() > until:
            raise _TooLongError
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        text: str = renderer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **settings)
    except (_TooLongError, RecursionError):
        raise ModelError(
            f"model {name}: its chat template did not end within {MAX_SECONDS:g} s, expected a text of some lines. Replace "
            f"chat_template.jinja (or the template in tokenizer_config.json) by the published one."
        ) from None
    finally:
        sys.settrace(before)
    return text
