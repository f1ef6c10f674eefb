"""`python -m nrray` is `nrray`."""

from nrray.cli import run

run()
