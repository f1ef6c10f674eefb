"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# No deadline: how long an example takes says more about a shared machine than about the code.
settings.register_profile(
    "nrray", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("nrray")
