"""`nrray bench`."""
