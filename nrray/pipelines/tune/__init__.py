"""`nrray tune`."""
