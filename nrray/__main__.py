"""`python -m nrray` is `nrray`."""

import sys

from nrray.cli import main

sys.exit(main())
