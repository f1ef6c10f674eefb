"""`ray job submit --working-dir . -- python jobs/finetune.py configs/finetune.yaml`: `nrray finetune` as a Ray job."""

import sys

from nrray.cli import run

if __name__ == "__main__":
    run(["finetune", *sys.argv[1:]])
