"""Where it runs and where bytes live: configuration, errors, fingerprints, logs, storage, the Ray runtime, cluster specs.

Imports nothing of ours; everything else may import it.
"""
