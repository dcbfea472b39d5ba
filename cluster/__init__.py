"""Where it runs and where bytes live: configuration, errors, fingerprints, logs, storage, Ray, cluster specs.

Imports nothing of ours; everything else may import it.
"""
