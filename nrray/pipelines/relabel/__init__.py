"""`nrray relabel` and `nrray status`."""
