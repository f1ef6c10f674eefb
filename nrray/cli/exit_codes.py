"""Exit codes, which mean the same in every verb."""

EXIT_ERROR = 1  # an error, printed as a sentence; nothing was learned
EXIT_USAGE = 2
EXIT_FAILURES = 3  # done, but some units, files or trainings failed
EXIT_INTERRUPTED = 130  # by Ctrl-C or SIGTERM
