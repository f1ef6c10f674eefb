"""`ray job submit --working-dir . -- python jobs/study.py configs/study.yaml`: `nrray study` as a Ray job."""

import sys

from nrray.cli import run

if __name__ == "__main__":
    run(["study", *sys.argv[1:]])
