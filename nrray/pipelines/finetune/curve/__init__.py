"""`nrray finetune --curve`: one training at growing numbers of cases, and whether more cases would help."""
