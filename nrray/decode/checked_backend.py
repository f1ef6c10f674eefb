"""`python -m nrray.decode.checked_backend NAME`: a decode with a backend, in a process of its own: a decoder with clashing
libraries may crash it. Prints the version of the backend's package."""

import importlib.metadata
import sys

from nrray.decode import DecodeConfig, check_backend
from nrray.errors import DecodeError

if __name__ == "__main__":
    name = sys.argv[1]
    try:
        check_backend(DecodeConfig.model_validate({"backend": name}))
    except DecodeError as error:
        sys.exit(str(error))
    print(importlib.metadata.version(name))
