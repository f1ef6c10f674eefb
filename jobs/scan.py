"""`ray job submit --working-dir . -- python jobs/scan.py configs/scan.yaml`: `nrray scan` as a Ray job."""

import sys

from nrray.cli import run

if __name__ == "__main__":
    run(["scan", *sys.argv[1:]])
