"""The verbs: a folder each for those of several files. All that knows Ray is in `on_ray`."""
