"""The contents of an archive: videos, the cases that they show, annotations, splits."""
