"""Answers from a checkpoint that vLLM runs beside this process, on a GPU."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from transformers import GenerationConfig

from nrray.errors import ErrorKind, ModelError, UnitError
from nrray.models.checkpoint import LOADING_ERRORS, outlined_checkpoint
from nrray.models.config import Dtype, Execution, resolved_dtype
from nrray.models.device_loss import EngineDiedError
from nrray.models.engines import vllm_support
from nrray.models.engines.asking import named_end_ids, single_token_ids
from nrray.models.engines.engine import GREEDY, Decoding, Question, Replies
from nrray.models.engines.token_choice import answer_seed
from nrray.models.engines.vllm_requests import Asked, choice_probabilities, engine_arguments, sampling_arguments
from nrray.models.families.family import LoadedCheckpoint
from nrray.models.families.vlm import PromptProcessor, VideoPromptProcessor, video_metadata
from nrray.models.frame_stacking import stacked
from nrray.models.labeler import ModelInfo, check_frames
from nrray.models.resolved import ResolvedCheckpoint, check_same_here
from nrray.types import Frames

if TYPE_CHECKING:
    from nrray.models.engines.sections import VllmSection


@dataclass(frozen=True, kw_only=True)
class Request:
    """One prompt, and how its answer is made: arguments of `SamplingParams`, with a JSON schema for `structured_outputs`."""

    prompt: dict[str, Any]
    sampling: dict[str, Any]


class VllmEngine:
    """Every question is a prompt of its own with the frames first, and all prompts about a unit are handed over together: vLLM
    knows frames that it has encoded, and a beginning that it has read, by their content."""

    def __init__(self, section: "VllmSection", checkpoint: ResolvedCheckpoint, *, execution: Execution) -> None:
        """Raises ModelError where this node lacks vLLM or a GPU, has another model than the driver, or cannot start it."""
        vllm_support.check_runs(execution)
        vllm_support.check_checkpoint(checkpoint)
        check_same_here(checkpoint)
        self._library = Library()
        outline = outlined_checkpoint(checkpoint)
        self._prompts = _prompts(outline)
        self._tokenizer = outline.processor.tokenizer
        self._end_ids = _end_ids(checkpoint, self._tokenizer)
        self._inputs = checkpoint.inputs
        self._max_frames = section.max_frames
        dtype = resolved_dtype(execution.dtype, on_gpu=True)
        self._info = _info(checkpoint, outline, device=self._library.device, dtype=dtype)
        rank = vllm_support.lora_rank(checkpoint)
        # One of the same name is taken for the same: the digest is another one for other matrices.
        self._adapter = None if rank is None else self._library.adapter(checkpoint.digest, str(checkpoint.head_folder))
        self._shows_video = isinstance(self._prompts, VideoPromptProcessor)
        self._model = self._library.started(
            engine_arguments(
                section,
                folder=str(checkpoint.folder),
                dtype=dtype,
                lora_rank=rank,
                shows_video=self._shows_video,
            )
        )

    @property
    def info(self) -> ModelInfo:
        return self._info

    def ask(self, frames: Frames, questions: Sequence[Question], *, decoding: Decoding = GREEDY) -> Replies:
        """As `Engine` says. Raises ModelError for windows of more frames than memory was set aside for, UnitError for a prompt
        that vLLM refuses, EngineDiedError where its engine has ended."""
        shown = self._shown(frames)
        asked = [self._asked(question) for question in questions]
        num_windows, num_questions = len(shown.window_frames), len(questions)
        requests = [
            request for window in range(num_windows) for request in self._requests(shown, window, asked, decoding)
        ]
        started = time.perf_counter()
        completions = iter(self._library.completions(self._model, requests, adapter=self._adapter))
        seconds = (time.perf_counter() - started) / max(1, num_windows * num_questions)
        texts: list[list[str]] = [[] for _ in range(num_windows)]
        probabilities = [np.zeros((num_windows, len(question.choices)), np.float32) for question in questions]
        num_tokens = np.zeros((num_windows, num_questions), np.int32)
        for window in range(num_windows):
            for place, item in enumerate(asked):
                spoken = next(completions)
                scored = next(completions) if item.scores_apart else spoken
                tokens = list(spoken.token_ids) if item.question.max_tokens else []
                texts[window].append(self._tokenizer.decode(tokens, skip_special_tokens=True))
                num_tokens[window, place] = len(tokens)
                first = scored.logprobs[0] if scored.logprobs else {}
                probabilities[place][window] = choice_probabilities(first, item)
        return Replies(
            texts=texts,
            probabilities=probabilities,
            num_tokens=num_tokens,
            seconds=np.full((num_windows, num_questions), seconds, np.float32),
        )

    def _shown(self, frames: Frames) -> Frames:
        """The unit as the model is shown it, stacked as in its training."""
        if self._inputs is not None:
            check_frames(frames, trained=self._inputs.sampling, name=self._info.name)
            frames = stacked(frames, self._inputs.frame_stacking)
        num_frames = frames.window_frames.shape[1]
        if num_frames > self._max_frames:
            raise ModelError(
                f"strategy.engine.max_frames: found windows of {num_frames} frames, expected {self._max_frames} at most. Set it "
                f"to {num_frames}, or sample fewer."
            )
        return frames

    def _asked(self, question: Question) -> Asked:
        choice_ids = [single_token_ids(self._tokenizer, choice) for choice in question.choices]
        return Asked(question=question, choice_ids=choice_ids)

    def _requests(self, frames: Frames, window: int, asked: Sequence[Asked], decoding: Decoding) -> Iterator[Request]:
        """Everything that is asked about a window, behind the same frames."""
        pixels = np.ascontiguousarray(frames.pixels[frames.window_frames[window]])
        media = self._media(pixels, frames_per_second=frames.frames_per_second)
        for item in asked:
            text = self._prompts.chat_text(item.question.text, num_frames=len(pixels))
            seed = answer_seed(
                decoding,
                question=item.question.name,
                start_us=int(frames.window_start_us[window]),
                end_us=int(frames.window_end_us[window]),
            )
            for sampling in sampling_arguments(
                item, temperature=decoding.temperature, seed=seed, end_ids=self._end_ids
            ):
                prompt = {"prompt_token_ids": self._tokenizer(text)["input_ids"], "multi_modal_data": media}
                yield Request(prompt=prompt, sampling=sampling)

    def _media(self, pixels: NDArray[np.uint8], *, frames_per_second: float) -> dict[str, Any]:
        """A window's frames, of which vLLM leaves none out, with their times where the model is shown a video."""
        if not self._shows_video:
            return {"image": [self._library.image(frame) for frame in pixels]}
        metadata = video_metadata(len(pixels), frames_per_second=frames_per_second)
        return {"video": [(pixels, {**metadata, "video_backend": "nrray", "do_sample_frames": False})]}


class Library:
    """What of vLLM is used. Raises ModelError where it is not here, or sees no GPU."""

    def __init__(self) -> None:
        vllm_support.check_installed()
        try:
            from PIL import Image
            from vllm import LLM, SamplingParams
            from vllm.exceptions import VLLMClientError
            from vllm.lora.request import LoRARequest
            from vllm.platforms import current_platform
            from vllm.sampling_params import StructuredOutputsParams
            from vllm.v1.engine.exceptions import EngineDeadError
        except ImportError as error:
            raise ModelError(
                f"strategy.engine: found a vLLM that cannot be used here ({error}), expected 0.33. pip install 'nrray[vllm]' on "
                f"every node."
            ) from error
        if not current_platform.device_type:
            raise ModelError(
                "strategy.engine: found vllm, which sees no GPU in this worker, expected one. Take engine transformers, or give "
                "labelers a GPU."
            )
        self.device: str = current_platform.device_type
        self.image = Image.fromarray
        self._llm, self._sampling, self._schema, self._adapter = (
            LLM,
            SamplingParams,
            StructuredOutputsParams,
            LoRARequest,
        )
        self._dead, self._refused = EngineDeadError, VLLMClientError

    def adapter(self, name: str, folder: str) -> Any:
        """A request for the matrices in a folder."""
        return self._adapter(lora_name=name, lora_int_id=1, lora_path=folder)

    def started(self, arguments: dict[str, Any]) -> Any:
        """The model, loaded, with its caches laid out. Raises ModelError."""
        try:
            return self._llm(**arguments)
        except LOADING_ERRORS as error:
            raise ModelError(
                f"model {arguments['model']}: vLLM cannot start with it: {type(error).__name__}: {error}. Its reason stands "
                f"above, in this worker's log. Where memory is short, lower strategy.engine.context_tokens, concurrency or "
                f"max_frames, or raise memory_fraction."
            ) from error

    def completions(self, model: Any, requests: Sequence[Request], *, adapter: Any) -> list[Any]:
        """A completion for each request. Raises UnitError, EngineDiedError."""
        if not requests:
            return []
        try:
            outputs = model.generate(
                [request.prompt for request in requests],
                [self._sampling(**self._arguments(request)) for request in requests],
                use_tqdm=False,
                lora_request=adapter,
            )
        except self._dead as error:
            raise EngineDiedError(f"vLLM's engine has ended: {error}") from error
        except self._refused as error:
            raise UnitError(
                ErrorKind.LABEL_FAILED,
                f"vLLM refuses a prompt: {error}. Where it is too long, raise strategy.engine.context_tokens, or sample fewer or "
                f"smaller frames.",
            ) from error
        if len(outputs) != len(requests):
            found = f"found {len(outputs)} answers, expected the {len(requests)} that were asked for"
            raise UnitError(ErrorKind.LABEL_FAILED, f"vLLM: {found}.")
        return [output.outputs[0] for output in outputs]

    def _arguments(self, request: Request) -> dict[str, Any]:
        schema = request.sampling.get("structured_outputs")
        return (
            request.sampling
            if schema is None
            else {**request.sampling, "structured_outputs": self._schema(json=schema)}
        )


def _prompts(outline: LoadedCheckpoint) -> PromptProcessor:
    processor = outline.family.window_processor(outline)
    if not isinstance(processor, PromptProcessor):
        raise ModelError(f"model {outline.name}: found a checkpoint without prompts, expected one that can be asked.")
    return processor


def _end_ids(checkpoint: ResolvedCheckpoint, tokenizer: Any) -> list[int]:
    """As for transformers' `generate`."""
    try:
        config = GenerationConfig.from_pretrained(checkpoint.folder, local_files_only=True)
    except OSError:  # a checkpoint without the file
        config = GenerationConfig()
    return named_end_ids(config, tokenizer, name=checkpoint.name)


def _info(checkpoint: ResolvedCheckpoint, outline: LoadedCheckpoint, *, device: str, dtype: Dtype) -> ModelInfo:
    count = outline.model.num_parameters()
    return ModelInfo(
        name=checkpoint.name,
        path=str(checkpoint.folder),
        digest=checkpoint.digest,
        parameter_count=count,
        sampling=checkpoint.inputs.sampling if checkpoint.inputs is not None else None,
        device=device,
        dtype=dtype.value,
        memory_bytes=count * (4 if dtype is Dtype.FLOAT32 else 2),
    )
