"""`nrray doctor --server`: what a server can do is found out by asking it, and what it cannot has advice."""

import pytest

from nrray.models.engines import OpenAiSection
from nrray.pipelines.doctor_server import server_findings
from nrray.pipelines.findings import Verdict
from tests.openai_server import FakeServer, dribbling, refusing, saying, serving, well


def findings_of(fake, *, allow_remote=False, **settings):
    section = OpenAiSection(url=fake.url, **{"timeout_seconds": 5, **settings})
    return {finding.name: finding for finding in server_findings(section, allow_remote=allow_remote)}


def test_a_server_that_can_everything_has_no_advice():
    with serving() as fake:
        found = findings_of(fake)
    assert {finding.verdict for finding in found.values()} == {Verdict.OK}
    assert found["model"].value == "small-vlm (owner: tests)"
    assert found["address"].value == "127.0.0.1: in the house"
    assert found["pictures"].value == "seen: one makes a prompt 16 tokens longer"
    assert found["probabilities"].value == "told: 2 first tokens of the 20 asked for"
    assert found["JSON schema"].value == "kept"
    assert found["video of frames"].value == "taken (strategy.engine.frames=jpeg_sequence)"


def test_what_is_missing_has_advice_with_the_setting():
    with serving(FakeServer(tells_probabilities=False, keeps_schemas=False, takes_videos=False, counts=False)) as fake:
        found = findings_of(fake)
    assert "unknown" in found["pictures"].value
    assert (found["probabilities"].verdict, found["probabilities"].value) == (Verdict.WARN, "none")
    assert "answer_tokens=0" in found["probabilities"].advice
    assert found["JSON schema"].verdict is Verdict.WARN
    assert "strategy.constrained" in found["JSON schema"].advice
    assert "'yes'" in found["JSON schema"].advice
    assert "frames=images" in found["video of frames"].value


@pytest.mark.parametrize("manner", [refusing(400), refusing(500), saying({"error": "no"}), dribbling])
def test_a_server_that_chokes_on_more_than_pictures_is_still_usable(manner):
    with serving(FakeServer(manners=(manner,))) as fake:  # from the third question on
        found = findings_of(fake, timeout_seconds=1)
    assert found["pictures"].verdict is Verdict.OK
    assert found["JSON schema"].value == "not kept"
    assert found["video of frames"].value.startswith("not taken")


def test_a_schema_that_refuses_leaves_the_video_as_it_is():
    with serving(FakeServer(manners=(well, refusing(422)))) as fake:
        found = findings_of(fake)
    assert found["video of frames"].value.startswith("taken")
    assert "422" in found["JSON schema"].advice


def test_a_server_that_drops_pictures_cannot_be_used():
    with serving(FakeServer(sees=False)) as fake:
        found = findings_of(fake)
    assert found["server"].verdict is Verdict.FAIL
    assert "a picture makes its prompt no longer" in found["server"].advice


def test_nobody_behind_the_address_and_an_address_outside_are_failures():
    with serving() as fake:
        url = fake.url
    for asked, expected in ((url, "cannot be used: "), ("http://8.8.8.8/v1", "--allow-remote")):
        [finding] = server_findings(OpenAiSection(url=asked, timeout_seconds=5, retries=0), allow_remote=False)
        assert finding.verdict is Verdict.FAIL
        assert expected in finding.advice


def test_of_several_models_one_must_be_named():
    models = [{"id": "one"}, {"id": "two"}]
    with serving(FakeServer(models=models)) as fake:
        [finding] = findings_of(fake).values()
        assert "strategy.engine.model" in finding.advice
    with serving(FakeServer(models=models)) as fake:
        assert findings_of(fake, model="two")["model"].value == "two"
