"""What a run leaves: the ledger of units, and label versions."""
