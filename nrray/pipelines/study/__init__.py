"""`nrray study`: which way of using a local model is worth it on one's own archive."""
