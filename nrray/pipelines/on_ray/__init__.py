"""All that knows Ray, and all that a Ray upgrade touches.

Ray reads RAY_AUTH_MODE once, when it is imported, so it is chosen here, before that. A private instance gets a fresh
token in this process's environment only: Ray's own default would write one to the home folder, readable by everybody.
"""

import os
import secrets
import sys
from pathlib import Path


def _has_token() -> bool:
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return True
    try:
        return (Path.home() / ".ray" / "auth_token").exists()
    except (RuntimeError, OSError):  # no home folder, or one of somebody else
        return False


if "RAY_AUTH_MODE" not in os.environ and "ray" not in sys.modules:  # else too late: whoever imported Ray has chosen
    if os.environ.get("RAY_ADDRESS", "").strip() not in ("", "local"):
        os.environ["RAY_AUTH_MODE"] = "token" if _has_token() else "disabled"
    else:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)

# Ray's C++ core prints warnings of its own onto the terminal of whoever started it, token or no token.
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
