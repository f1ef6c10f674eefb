"""The command line. Every verb: `nrray <verb> [CONFIG.yaml] [--set key.path=value ...]`."""

from nrray.cli.process import main, run

__all__ = ["main", "run"]
