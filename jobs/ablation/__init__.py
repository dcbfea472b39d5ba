"""A study in, its trials out: mixes on the simplex x seeds x any other settings of a run.

designs.py   named sets of points of the simplex, as exact fractions
mixes.py     how a study's configuration names them
study.py     the configuration of a study -> its trials, each a whole run configuration with a name of its own
"""
