"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# No deadline: how long an example takes says more about a shared machine than about the code.
# `--hypothesis-profile thorough` draws a thousand of each, such as timelines for the metrics.
for name, max_examples in (("nrray", 60), ("thorough", 1000)):
    settings.register_profile(
        name, deadline=None, max_examples=max_examples, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )
settings.load_profile("nrray")
