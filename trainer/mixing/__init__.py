"""Which groups, in which languages, make up each global batch: a pure function of (seed, step).

    ratios.py     shares of the kinds, constant or changing over training -> running totals, exactly
    apportion.py  running totals -> a sequence of kinds whose every prefix is within one of its share
    permute.py    keyed permutations and draws, computed, never stored
    rows.py       batch number of a source -> rows, so that a rank reads only what it needs
    languages.py  counters -> languages of queries and passages, exactly balanced
    images.py     languages -> where an image takes the place of a caption
    timeline.py   step number -> kind and source, with the counters languages and rows run on
    plan.py       step number -> the slots of that global batch
    ledger.py     what was really trained on, and whether it is what was asked for

numpy only: the plan runs in the driver, in every feed task and in tests without anything heavy.
"""
