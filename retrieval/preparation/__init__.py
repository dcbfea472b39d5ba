"""The parts of prepare, in the order in which a group meets them.

leakage.py    ids and passages of evaluation sets -> whether a group may be trained on
intake.py     groups -> texts in a scratch file, and a few numbers of each in memory
arrange.py    those numbers -> repeats, shared passages, sources, order
coverage.py   languages and counts -> which sources there are
shards.py     the groups of one source, in order -> Parquet files
keys.py       texts and ids -> 64-bit keys
"""
