"""`ray job submit --working-dir . -- python jobs/relabel.py configs/relabel.yaml`: `nrray relabel` as a Ray job."""

import sys

from nrray.cli import run

if __name__ == "__main__":
    run(["relabel", *sys.argv[1:]])
