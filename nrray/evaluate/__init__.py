"""One labelling against another: aligned, measured per activity with intervals over cases, compared, reported."""
