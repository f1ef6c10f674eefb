"""`ray job submit --working-dir . -- python jobs/finetune.py configs/finetune.yaml`: `nrray finetune` as a Ray job."""

import sys

from nrray.cli import main

if __name__ == "__main__":
    sys.exit(main(["finetune", *sys.argv[1:]]))
