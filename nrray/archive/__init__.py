"""What an archive holds: videos, the births that they show, annotations, splits."""
