"""`nrray scan`."""
