"""`nrray finetune`."""
