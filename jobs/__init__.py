"""Composes the rest: the run configuration, one entry point per job, the command line."""
