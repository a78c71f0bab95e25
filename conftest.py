"""What the tests of the core and of all plugins share: no deadlines for properties, since machines are busy at times."""

from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
