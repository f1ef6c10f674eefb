"""What `nrray doctor --server` finds about a server of the OpenAI protocol: what it can do, and what to set where it cannot."""

from nrray.errors import ModelError
from nrray.models.engines import OpenAiSection
from nrray.models.engines.server_profile import ServerProfile, server_profile
from nrray.pipelines.findings import Finding, Verdict


def server_findings(section: OpenAiSection, *, allow_remote: bool) -> tuple[Finding, ...]:
    """All that its answers to some small questions say; one failed finding where it cannot be used at all."""
    try:
        profile = server_profile(section, allow_remote=allow_remote)
    except ModelError as error:
        return (
            Finding(
                name="server",
                value="cannot be used",
                verdict=Verdict.FAIL,
                advice=str(error),
            ),
        )
    return profile_findings(profile, section)


def profile_findings(profile: ServerProfile, section: OpenAiSection) -> tuple[Finding, ...]:
    """The profile, each part with what to set where it is missing."""
    return (
        _model(profile),
        _address(profile),
        _pictures(profile),
        _probabilities(profile, section),
        _schema(profile),
        _video(profile),
        Finding(name="one answer", value=f"{profile.seconds:.2f} s, with one picture"),
    )


def _model(profile: ServerProfile) -> Finding:
    owner = profile.model.facts.get("owned_by")
    return Finding(name="model", value=f"{profile.model.name}{f' (owner: {owner})' if owner else ''}")


def _address(profile: ServerProfile) -> Finding:
    addresses = ", ".join(profile.model.addresses)
    if profile.model.is_remote:
        advice = "frames of videos leave the house: take a server on loopback or a private address"
        return Finding(name="address", value=f"{addresses}: outside", verdict=Verdict.WARN, advice=advice)
    return Finding(name="address", value=f"{addresses}: in the house")


def _pictures(profile: ServerProfile) -> Finding:
    if profile.picture_tokens is None:
        advice = (
            "the server counts no tokens, so it cannot be told whether pictures reach the model: look at some answers"
        )
        return Finding(name="pictures", value="unknown", verdict=Verdict.WARN, advice=advice)
    return Finding(name="pictures", value=f"seen: one makes a prompt {profile.picture_tokens} tokens longer")


def _probabilities(profile: ServerProfile, section: OpenAiSection) -> Finding:
    if profile.num_listed:
        value = f"told: {profile.num_listed} first tokens of the {section.top_logprobs} asked for"
        return Finding(name="probabilities", value=value)
    advice = (
        "labels have no scores, and strategies that need them (multiple_choice, yes_no with answer_tokens=0) no answers: let "
        "answers be spoken, or take a server that tells logprobs (vLLM, SGLang, llama.cpp)"
    )
    return Finding(name="probabilities", value="none", verdict=Verdict.WARN, advice=advice)


def _schema(profile: ServerProfile) -> Finding:
    if not profile.schema_trouble:
        return Finding(name="JSON schema", value="kept")
    advice = f"leave strategy.constrained out, as free answers are read as strictly; the server: {profile.schema_trouble[:300]}"
    return Finding(name="JSON schema", value="not kept", verdict=Verdict.WARN, advice=advice)


def _video(profile: ServerProfile) -> Finding:
    if not profile.video_trouble:
        return Finding(name="video of frames", value="taken (strategy.engine.frames=jpeg_sequence)")
    return Finding(name="video of frames", value="not taken: leave strategy.engine.frames=images")
