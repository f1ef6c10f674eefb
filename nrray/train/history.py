"""What a training says of itself while it goes on, and what it is told: files in its output. No torch."""

import json
from typing import Any

from nrray.storage import Folder

HISTORY_FILE = "history.jsonl"
STOP_FILE, STOPPED_FILE = "stop", "stopped.json"
FAILURE_FILE = "failure.json"


def read_history(output: Folder) -> list[dict[str, Any]]:
    """What the training in `output` has measured so far."""
    if not output.exists(HISTORY_FILE):
        return []
    return [json.loads(line) for line in output.read_bytes(HISTORY_FILE).splitlines()]
