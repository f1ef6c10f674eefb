"""`ray job submit --working-dir . -- python jobs/tune.py configs/tune.yaml`: `nrray tune` as a Ray job."""

import sys

from nrray.cli import run

if __name__ == "__main__":
    run(["tune", *sys.argv[1:]])
