"""The command line. Every verb: `nrray <verb> [CONFIG.yaml] [--set key.path=value ...]`."""

from nrray.isolation import leave_working_folder_out

leave_working_folder_out()

from nrray.cli.process import main, run  # noqa: E402 (no module of the working folder is found from here on)

__all__ = ["main", "run"]
