"""The engine of servers, against a server on this machine with good manners and with all the bad ones."""

import re
import socket
import time

import numpy as np
import pytest

from nrray.config import load_config
from nrray.errors import ConfigError, ErrorKind, ModelError, ServerError
from nrray.models import CheckpointChoice, Execution, resolve_checkpoint
from nrray.models.engines import OpenAiSection, Question
from nrray.models.engines.openai import OpenAiEngine
from nrray.models.measure import synthetic_frames
from nrray.pipelines.relabel.job import RelabelConfig
from nrray.sampling import Sampling
from tests.openai_server import (
    MODEL,
    FakeServer,
    dribbling,
    half,
    hanging_up,
    refusing,
    saying,
    serving,
    silent,
    well,
)

SAMPLING = Sampling(frames_per_second=2, window_seconds=1.5, stride_seconds=1, frame_width_px=40, frame_height_px=32)
YES_NO = (("yes", "Yes"), ("no", "No"))
WELL = Question(name="well", text="Well?", choices=YES_NO, max_tokens=4)
WORSE = Question(name="worse", text="Worse?", choices=YES_NO, max_tokens=0)


@pytest.fixture
def server():
    with serving() as fake:
        yield fake


def engine_of(fake, *, allow_remote=False, **settings) -> OpenAiEngine:
    section = OpenAiSection(url=fake.url, **{"retries": 0, "timeout_seconds": 5, **settings})
    model = section.resolved(CheckpointChoice(), allow_remote=allow_remote)
    return section.loaded(model, execution=Execution())


def asked(engine, *questions, num_windows=2):
    try:
        return engine.ask(synthetic_frames(SAMPLING, num_windows=num_windows), questions or [WELL])
    finally:
        engine.close()


def failure(fake, manner, **settings) -> ServerError:
    fake.manners = (manner,)
    engine = engine_of(fake, **settings)
    with pytest.raises(ServerError) as failed:
        asked(engine, num_windows=1)
    return failed.value


def test_answers_come_back_by_window_and_question(server):
    def answer(question):
        return ("no", {"no": -0.05, "yes": -3.0}) if question == "Worse?" else ("yes", {"yes": -0.1, "no": -2.4})

    server.answer = answer
    replies = asked(engine_of(server), WELL, WORSE, num_windows=3)
    assert replies.texts == [["yes", ""]] * 3
    np.testing.assert_allclose(replies.probabilities[0], np.exp([[-0.1, -2.4]] * 3), rtol=1e-6)
    np.testing.assert_allclose(replies.probabilities[1], np.exp([[-3.0, -0.05]] * 3), rtol=1e-6)
    assert replies.num_tokens.tolist() == [[1, 1]] * 3
    assert (replies.seconds > 0).all()
    assert replies.distances is None


def test_every_window_is_shown_its_own_frames_with_their_times_and_then_the_question(server):
    asked(engine_of(server, concurrency=1), num_windows=2)
    first, second = (body["messages"][0]["content"] for body in server.requests)
    assert [part["text"] for part in first if part["type"] == "text"] == ["0.00 s:", "0.50 s:", "1.00 s:", "Well?"]
    pictures = [
        [part["image_url"]["url"] for part in parts if part["type"] == "image_url"] for parts in (first, second)
    ]
    assert all(url.startswith("data:image/png;base64,") for url in pictures[0])
    assert pictures[0][2] == pictures[1][0]  # the frame that both windows have
    assert len({*pictures[0], *pictures[1]}) == 5


def test_frames_go_without_times_where_the_model_was_taught_without(server):
    asked(engine_of(server, frame_times=False), num_windows=1)
    assert [part["type"] for part in server.requests[0]["messages"][0]["content"]] == ["image_url"] * 3 + ["text"]


def test_a_sequence_of_jpegs_is_one_video_with_its_times(server):
    asked(engine_of(server, frames="jpeg_sequence"), num_windows=1)
    [body] = server.requests
    [video, _] = body["messages"][0]["content"]
    assert video["video_url"]["url"].count(",") == 3
    assert body["media_io_kwargs"]["video"]["fps"] == 2.0


def test_no_windows_have_no_answers(server):
    frames = synthetic_frames(SAMPLING, num_windows=1)
    empty = type(frames)(**{**vars(frames), "window_frames": frames.window_frames[:0]})
    engine = engine_of(server)
    replies = engine.ask(empty, [WELL, WORSE])
    engine.close()
    assert (replies.texts, replies.probabilities[0].shape, replies.num_tokens.shape) == ([], (0, 2), (0, 2))


def test_no_more_questions_are_on_their_way_than_the_section_allows(server):
    def slow(fake, handler, body):
        time.sleep(0.05)
        well(fake, handler, body)

    server.manners = (slow,)
    asked(engine_of(server, concurrency=3), WELL, WORSE, num_windows=6)
    assert server.most_at_once == 3


def test_more_fields_reach_the_server(server):
    asked(engine_of(server, extra_body={"chat_template_kwargs": {"enable_thinking": False}}), num_windows=1)
    assert server.requests[0]["chat_template_kwargs"] == {"enable_thinking": False}


def test_the_key_comes_from_the_environment_and_stands_in_no_record(server, monkeypatch):
    server.key = "s3cret"
    with pytest.raises(ModelError, match=r"status 401: no key.*api_key_variable"):
        engine_of(server)
    with pytest.raises(ModelError, match=r"NRRAY_TEST_KEY, which the environment of this node does not set"):
        engine_of(server, api_key_variable="NRRAY_TEST_KEY")
    monkeypatch.setenv("NRRAY_TEST_KEY", "s3cret\n")
    section = OpenAiSection(url=server.url, api_key_variable="NRRAY_TEST_KEY")
    model = section.resolved(CheckpointChoice())
    assert "s3cret" not in f"{section!r}{section.model_dump_json()}{model!r}{model.record()}{section.identity()}"
    asked(section.loaded(model, execution=Execution()))


def test_proxies_of_the_environment_see_nothing(server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert asked(engine_of(server)).texts == [["yes"], ["yes"]]


# What a server is found to serve.


def test_the_only_model_is_taken_and_a_choice_among_several_must_be_made(server):
    section = OpenAiSection(url=server.url)
    assert section.resolved(CheckpointChoice()).name == "small-vlm"
    server.models.append({"id": "other"})
    with pytest.raises(ModelError, match=r"found the models small-vlm, other, expected one"):
        section.resolved(CheckpointChoice())
    with pytest.raises(ModelError, match=r"found no model third, but small-vlm, other"):
        OpenAiSection(url=server.url, model="third").resolved(CheckpointChoice())
    server.introductions = 2
    assert OpenAiSection(url=server.url, model="other").resolved(CheckpointChoice()).name == "other"


def test_the_digest_is_of_what_the_server_tells_and_not_of_where_or_when_it_runs():
    def digest(**told):
        with serving(FakeServer(models=[{**MODEL, **told}])) as fake:
            return OpenAiSection(url=fake.url).resolved(CheckpointChoice()).digest

    assert digest() == digest(permission=[{"id": "another"}])
    assert len({digest(), digest(root="weights-2"), digest(owned_by="others"), digest(id="other")}) == 4


def test_a_model_that_drops_pictures_is_refused(server):
    server.sees = False
    with pytest.raises(ModelError, match=r"a picture makes its prompt no longer \(\d+ tokens without, \d+ with\)"):
        engine_of(server)


def test_what_cannot_be_told_of_a_server_is_said(server):
    server.counts = server.tells_probabilities = False
    model = OpenAiSection(url=server.url).resolved(CheckpointChoice())
    said = " ".join(model.sentences())
    assert "whether pictures reach the model cannot be told" in said
    assert "labels have no scores" in said
    assert "in the house" in said


def test_a_server_without_probabilities_gives_no_scores(server):
    server.tells_probabilities = False
    replies = asked(engine_of(server))
    assert np.isnan(replies.probabilities[0]).all()
    assert "logprobs" not in server.requests[0]


def test_an_address_outside_the_house_is_refused_before_anything_is_sent(monkeypatch):
    section = OpenAiSection(url="http://203.0.113.5:8000/v1", retries=0, timeout_seconds=1)
    started = time.monotonic()
    with pytest.raises(ModelError, match=r"203\.0\.113\.5 is outside .* --allow-remote"):
        section.resolved(CheckpointChoice())
    assert time.monotonic() - started < 0.5


def test_a_name_that_later_resolves_to_another_place_is_not_followed_there(server, monkeypatch):
    url = server.url.replace("127.0.0.1", "localhost")
    section = OpenAiSection(url=url, retries=0)
    engine = section.loaded(section.resolved(CheckpointChoice()), execution=Execution())
    found = socket.getaddrinfo

    def elsewhere(host, port, *args, **kwargs):
        return found("203.0.113.5" if host == "localhost" else host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", elsewhere)
    with pytest.raises(ServerError, match=r"localhost \(203\.0\.113\.5\) is outside") as refused:
        asked(engine)
    assert refused.value.kind is ErrorKind.SERVER_UNREACHABLE
    assert not server.requests


def test_a_server_outside_the_house_is_spoken_to_where_that_is_allowed_and_it_is_said(server, monkeypatch):
    monkeypatch.setattr("nrray.models.engines.openai.is_in_house", lambda address: False)
    model = OpenAiSection(url=server.url).resolved(CheckpointChoice(), allow_remote=True)
    assert model.record()["is_remote"] is True
    assert any("leave the house, as --allow-remote says" in sentence for sentence in model.sentences())


def test_a_checkpoint_beside_a_server_is_an_error(server):
    with pytest.raises(ConfigError, match=r"model\.path: found some/folder beside"):
        OpenAiSection(url=server.url).resolved(CheckpointChoice(path="some/folder"))


def test_a_checkpoint_is_no_model_of_a_server(server):
    with pytest.raises(ModelError, match="expected a model that a server has"):
        OpenAiSection(url=server.url).loaded(resolve_checkpoint(CheckpointChoice()), execution=Execution())


# Bad manners.


@pytest.mark.parametrize(
    ("manner", "kind", "sentence"),
    [
        (refusing(400), ErrorKind.SERVER_REFUSED, "status 400: no room"),
        (refusing(404), ErrorKind.SERVER_REFUSED, r"status 404: no room\. Set strategy\.engine\.url"),
        (refusing(413), ErrorKind.SERVER_REFUSED, r"status 413: .* Send less"),
        (refusing(503), ErrorKind.SERVER_REFUSED, r"status 503: .* --retry-failed"),
        (refusing(422, {"detail": [{"msg": "x" * 5000}]}), ErrorKind.SERVER_REFUSED, "status 422"),
        (refusing(307, Location="http://203.0.113.5/"), ErrorKind.SERVER_REFUSED, "redirects are not followed"),
        (saying(b"<!DOCTYPE html><html>Log in</html>"), ErrorKind.SERVER_REPLY, "an HTML page"),
        (saying(b'{"choices": [{"message": {"con'), ErrorKind.SERVER_REPLY, "expected one JSON document"),
        (saying(b""), ErrorKind.SERVER_REPLY, "answered with nothing"),
        (saying(b"\xff\xfe\x00"), ErrorKind.SERVER_REPLY, "expected one JSON document"),
        (saying({"choices": []}), ErrorKind.SERVER_REPLY, "expected a chat completion"),
        (saying(b" " * (17 * 2**20)), ErrorKind.SERVER_REPLY, "more than 16 MiB"),
        (half, ErrorKind.SERVER_UNREACHABLE, "ended the connection"),
        (hanging_up, ErrorKind.SERVER_UNREACHABLE, "ended the connection"),
    ],
)
def test_every_bad_manner_is_an_error_of_a_kind_with_a_sentence(server, manner, kind, sentence):
    failed = failure(server, manner)
    assert failed.kind is kind
    assert re.search(sentence, str(failed))
    assert len(str(failed)) < 700


@pytest.mark.parametrize("manner", [silent, dribbling])
def test_a_server_that_hangs_or_dribbles_is_given_up_in_time(server, manner):
    started = time.monotonic()
    failed = failure(server, manner, timeout_seconds=0.5, retries=3)
    assert time.monotonic() - started < 5
    assert failed.kind is ErrorKind.SERVER_TIMEOUT
    assert "did not answer within 0.5 s" in str(failed)


def test_a_redirect_is_not_followed(server):
    with serving() as other:
        failure(server, refusing(307, Location=f"{other.url}/chat/completions"))
        assert not other.paths


def test_an_overload_and_a_lost_connection_are_tried_again(server):
    server.manners = (refusing(503), hanging_up, refusing(429, Retry_After="0"), well)
    assert asked(engine_of(server, retries=3), num_windows=1).texts == [["yes"]]
    assert len(server.requests) == 4


def test_after_the_last_retry_the_sentence_says_how_often_it_was_tried(server):
    failed = failure(server, refusing(503, Retry_After="0"), retries=2, concurrency=1)
    assert "Tried 3 times." in str(failed)
    assert len(server.requests) == 3


@pytest.mark.parametrize("manner", [refusing(400), saying(b"<html>"), silent])
def test_what_would_fail_again_or_may_still_be_going_on_is_not_tried_again(server, manner):
    failure(server, manner, retries=3, concurrency=1, timeout_seconds=0.5)
    assert len(server.requests) == 1


def test_a_server_that_is_gone_is_an_error_and_a_server_that_is_back_answers():
    with serving() as fake:
        engine, port = engine_of(fake), int(fake.url.split(":")[2].split("/")[0])
    frames = synthetic_frames(SAMPLING, num_windows=1)
    with pytest.raises(ServerError, match="cannot be reached") as failed:
        engine.ask(frames, [WELL])
    assert failed.value.kind is ErrorKind.SERVER_UNREACHABLE
    with serving(port=port):
        assert engine.ask(frames, [WELL]).texts == [["yes"]]
    engine.close()


def test_a_server_that_comes_back_with_another_model_is_not_asked(server):
    engine = engine_of(server)
    server.models[0]["root"] = "weights-2"
    with pytest.raises(ServerError, match="serves another small-vlm") as failed:
        asked(engine)
    assert failed.value.kind is ErrorKind.SERVER_CHANGED
    assert not server.requests


def test_one_bad_answer_among_good_ones_fails_the_unit_and_the_engine_lives_on(server):
    server.manners = (well, refusing(400), well)
    engine = engine_of(server, concurrency=1)
    frames = synthetic_frames(SAMPLING, num_windows=3)
    with pytest.raises(ServerError):
        engine.ask(frames, [WELL])
    assert engine.ask(frames, [WELL]).texts == [["yes"]] * 3
    engine.close()


def test_no_server_at_all_is_said_before_anything_is_decoded():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ModelError, match=rf"127\.0\.0\.1:{port}/v1/models cannot be reached"):
        OpenAiSection(url=f"http://127.0.0.1:{port}", retries=0).resolved(CheckpointChoice())


def test_what_a_server_says_that_is_no_list_of_models_is_an_error(server):
    server.models = "none"
    with pytest.raises(ModelError, match=r"the server of strategy\.engine cannot be used"):
        engine_of(server)


# Settings.


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("url=127.0.0.1:8000", r"strategy\.engine\.url: found '127\.0\.0\.1:8000', expected an address"),
        ("extra_body={messages: []}", r"strategy\.engine\.extra_body: found messages"),
        ("api_key_variable=sk-123", r"strategy\.engine\.api_key_variable: found"),
        ("frames=clip", r"strategy\.engine\.frames: found 'clip'"),
    ],
)
def test_a_setting_that_cannot_be_used_is_an_error_with_its_path(setting, problem):
    given = ["manifest=m", "output=o", "strategy.kind=yes_no", "strategy.engine.kind=openai"]
    given += [] if setting.startswith("url") else ["strategy.engine.url=http://127.0.0.1:1"]
    with pytest.raises(ConfigError, match=problem):
        load_config(RelabelConfig, None, [*given, f"strategy.engine.{setting}"])


def test_the_plain_word_asks_for_the_address():
    with pytest.raises(ConfigError, match=r"strategy\.engine\.url: is required"):
        load_config(RelabelConfig, None, ["manifest=m", "output=o", "strategy.kind=yes_no", "strategy.engine=openai"])


def test_the_identity_says_how_frames_are_shown_and_not_where():
    def identity(**settings):
        return OpenAiSection(**{"url": "http://127.0.0.1:1", **settings}).identity()

    assert identity() == identity(url="http://10.0.0.7:9/v1", concurrency=2, retries=9, jpeg_quality=50)
    others = (
        {"frames": "jpeg_sequence"},
        {"image_format": "jpeg"},
        {"frame_times": False},
        {"extra_body": {"top_k": 1}},
    )
    assert len({str(identity(**other)) for other in ({}, *others, {"top_logprobs": 5})}) == 6
