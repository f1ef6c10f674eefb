"""Printing of all verbs: sentences, tables, progress."""
