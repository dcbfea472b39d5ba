"""Trials of a study in, what they show about mixes out: how good, how sure, which differ, which mix would be best.

observations.py  tables of trials and of their values per query -> a panel: arms x seeds x units
spread.py        a panel -> means with intervals over queries and seeds, and joint draws of all means
contrasts.py     a panel -> paired differences of arms with tests, effect sizes and the smallest effect it could detect
flat_region.py   a panel -> the arms that cannot be told from the best
scheffe.py       shares -> terms of a mixture model, and its fit by least squares
optimum.py       a panel -> the mixture model chosen by cross-validation, its surface, the predicted best mix
pareto.py        several measures -> the arms that no other arm beats in all of them
axis_effect.py   a panel over a numeric axis (data size) -> slopes, alone and against a reference mix
study.py         all of it for every setting and measure, as plain values

docs/studies-analysis.md says what each figure means.
"""
