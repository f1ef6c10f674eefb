"""The results of runs: the ledger of units, the identity of an output, and its label versions."""
