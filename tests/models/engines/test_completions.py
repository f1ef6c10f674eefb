"""Bodies of requests and what replies say, without a server."""

import base64
import json
import math

import cv2
import numpy as np
import pytest

from nrray.errors import ErrorKind, ServerError
from nrray.models.engines.completions import (
    ImageFormat,
    choice_bounds,
    completion_of,
    encoded_frames,
    image_parts,
    request_body,
    seed_of_vote,
    video_parts,
    video_times,
)
from nrray.models.engines.engine import GREEDY, Decoding, Question

YES_NO = (("yes", "Yes"), ("no", "No"))


def reply(text="yes", **logprobs):
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"choices": [{**choice, **({"logprobs": logprobs} if logprobs else {})}]}


def frames(count=2):
    return np.random.default_rng(0).integers(0, 256, (count, 30, 40, 3), np.uint8)


def decoded(data):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), 1), cv2.COLOR_BGR2RGB)


def test_png_gives_back_every_pixel_in_its_colour():
    pixels = frames()
    for frame, data in zip(pixels, encoded_frames(pixels, image_format=ImageFormat.PNG, quality=1), strict=True):
        np.testing.assert_array_equal(decoded(data), frame)


def test_jpeg_is_smaller_and_close():
    ramp = np.broadcast_to(np.linspace(0, 255, 40, dtype=np.uint8)[None, None, :, None], (1, 30, 40, 3)).copy()
    [data] = encoded_frames(ramp, image_format=ImageFormat.JPEG, quality=95)
    assert np.abs(decoded(data).astype(int) - ramp[0]).max() < 16


def test_images_stand_behind_their_times_and_before_the_question():
    parts = image_parts(["AA", "BB"], [0, 250_000], image_format=ImageFormat.PNG)
    body = request_body(parts, Question(name="q", text="Well?"), model="m", decoding=GREEDY, top_logprobs=20, more={})
    said = [part.get("text") or part["image_url"]["url"] for part in body["messages"][0]["content"]]
    assert said == ["0.00 s:", "data:image/png;base64,AA", "0.25 s:", "data:image/png;base64,BB", "Well?"]


def test_a_sequence_is_one_video_with_all_of_its_times():
    [part] = video_parts(["AA", "BB", "CC"])
    assert part == {"type": "video_url", "video_url": {"url": "data:video/jpeg;base64,AA,BB,CC"}}
    video = video_times(3, 4.0)["media_io_kwargs"]["video"]
    assert video == {
        "num_frames": -1,
        "fps": 4.0,
        "frames_indices": [0, 1, 2],
        "total_num_frames": 3,
        "duration": 0.75,
        "do_sample_frames": False,
    }


def test_probabilities_are_asked_for_where_a_question_wants_some_and_one_token_where_it_wants_nothing_else():
    def body(question, top_logprobs=20):
        return request_body([], question, model="m", decoding=GREEDY, top_logprobs=top_logprobs, more={"x": 1})

    scored = body(Question(name="q", text="Well?", choices=YES_NO, max_tokens=0))
    assert (scored["max_tokens"], scored["logprobs"], scored["top_logprobs"], scored["x"]) == (1, True, 20, 1)
    assert (scored["temperature"], scored["stream"]) == (0.0, False)
    assert "logprobs" not in body(Question(name="q", text="Well?"))
    assert "logprobs" not in body(Question(name="q", text="Well?", choices=YES_NO), top_logprobs=0)


def test_a_schema_goes_into_the_field_by_which_servers_keep_to_one():
    question = Question(name="q", text="Well?", schema='{"type": "object"}')
    body = request_body([], question, model="m", decoding=GREEDY, top_logprobs=0, more={})
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_votes_and_seeds_are_told_apart():
    numbers = {seed_of_vote(Decoding(temperature=1, seed=seed, vote=vote)) for seed in range(9) for vote in range(9)}
    assert len(numbers) == 81
    assert all(0 <= number < 2**31 for number in numbers)


def test_an_answer_is_its_text_whatever_it_is_wrapped_in():
    assert completion_of(reply("Yes.")).text == "Yes."
    assert completion_of(reply([{"type": "text", "text": "no"}])).text == "no"
    assert completion_of(reply(None)).text == ""
    refused = {"choices": [{"message": {"content": None, "refusal": "I cannot."}}]}
    assert completion_of(refused).text == "I cannot."


def test_tokens_are_counted_by_the_server_or_in_its_list_of_them():
    assert completion_of({**reply(), "usage": {"completion_tokens": 3, "prompt_tokens": 9}}).num_tokens == 3
    assert completion_of(reply(**listed({"yes": -0.1}))).num_tokens == 1
    assert completion_of(reply()).num_tokens == 0


def listed(top, chosen=("yes", -0.1)):
    tops = [{"token": token, "logprob": logprob} for token, logprob in top.items()]
    return {"content": [{"token": chosen[0], "logprob": chosen[1], "top_logprobs": tops}]}


def test_the_first_tokens_are_those_listed_and_the_chosen_one():
    found = completion_of({"choices": [{"message": {"content": "hm"}, "logprobs": listed({"no": -1.0}, ("hm", -3.0))}]})
    assert dict(found.listed) == pytest.approx({"no": math.exp(-1), "hm": math.exp(-3)})
    assert completion_of(reply()).listed is None


@pytest.mark.parametrize(
    "document",
    [
        *(None, [], "yes", {}, {"choices": []}, {"choices": [None]}, {"choices": [{"message": "yes"}]}),
        reply(5),
        reply(**listed({"yes": "likely"})),
        reply(**listed({"yes": math.nan})),
        reply(**listed({"yes": 0.5})),
        {"error": {"message": "overloaded"}},
    ],
)
def test_what_is_no_completion_is_an_error_and_never_an_answer(document):
    with pytest.raises(ServerError, match="expected a chat completion") as refused:
        completion_of(document)
    assert refused.value.kind is ErrorKind.SERVER_REPLY


def test_the_listed_spellings_of_a_choice_are_added_up():
    found = choice_bounds([("yes", 0.6), ("Yes", 0.2), ("no", 0.15), ("No", 0.05)], YES_NO)
    np.testing.assert_allclose(found, [0.8, 0.2], rtol=1e-6)


def test_an_unlisted_choice_has_its_bound_where_that_is_negligible():
    found = choice_bounds([("yes", 0.99), ("Yes", 0.0095), ("x", 0.0001)], YES_NO)
    np.testing.assert_allclose(found, [0.9995, 0.0002], rtol=1e-4)


def test_an_unlisted_choice_that_may_weigh_is_not_known_and_not_zero():
    found = choice_bounds([("yes", 0.4), ("Yes", 0.3), ("x", 0.1)], YES_NO)
    assert found[0] == pytest.approx(0.7)
    assert np.isnan(found[1])


def test_a_choice_whose_unlisted_spellings_may_weigh_is_not_known_either():
    assert np.isnan(choice_bounds([("yes", 0.4), ("no", 0.3), ("No", 0.1)], YES_NO)[0])


def test_without_any_listed_choice_nothing_is_known():
    assert np.isnan(choice_bounds([("x", 0.5), ("y", 0.4)], YES_NO)).all()
    assert np.isnan(choice_bounds([], YES_NO)).all()


def test_a_body_is_json():
    body = request_body([], Question(name="q", text="\u00e9"), model="m", decoding=GREEDY, top_logprobs=1, more={})
    assert json.loads(json.dumps(body)) == body
