"""Trainees: a module for each tuning method."""
