"""A study in, its trials out: mixes on the simplex x seeds x any other settings of a run; then all of them, done.

designs.py     named sets of points of the simplex, as exact fractions
mixes.py       how a study's configuration names them
settings.py    schedulers, search, analysis
study.py       the configuration of a study -> its trials, each a whole run configuration with a name of its own
check.py       what can be known to be wrong with it
driver.py      a whole study, or what is missing of it
session.py     its trials on a cluster: benches do them (trainer/bench.py), Tune decides
tuning.py      Ray Tune; searching.py and population.py its searcher and scheduler for mixes
work.py        what a bench does for one trial
ledger.py      trials that are over; found.py those that a study came up with itself
result.py      trials that are over -> tables, analysis, page
"""
