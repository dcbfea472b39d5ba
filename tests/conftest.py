"""For all tests: Ray reads its settings when a process first imports it, which any test may be the first to do."""

from cluster.ray_runtime import quiet_environment

quiet_environment()
