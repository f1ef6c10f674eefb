"""The verbs: a folder each for those of several files. What is Ray's is in `on_ray`."""
