"""nrray: label video archives with local vision-language models, distributed on Ray.

Importing it switches telemetry and model-hub access off, before any library that has them can be imported:
clinical video never leaves the machine, and neither does a word about it.
"""

import logging
import os

__version__ = "0.1.0"

# The environment of every process of nrray, Ray's workers too: unpickling their task imports this package first. A runtime_env
# that said the same would have Ray start workers of its own beside those that it has ready.
LOCAL_ONLY_ENVIRONMENT: dict[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_XET": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONSAFEPATH": "1",  # no process that is started from here finds modules in its working folder (Python 3.11)
}
os.environ.update(LOCAL_ONLY_ENVIRONMENT)
os.environ.setdefault("HF_HUB_OFFLINE", "1")
logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it says where its cache is where there is no home folder
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it says that it could not fetch a kernel from a hub
