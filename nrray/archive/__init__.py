"""The contents of an archive: videos, the births that they show, annotations, splits."""
