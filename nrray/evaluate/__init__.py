"""One set of labels against another: aligned, measured per activity with intervals over cases, compared, reported."""
