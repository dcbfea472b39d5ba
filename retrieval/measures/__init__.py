"""Ranks of relevant passages in, figures out: one file per family of measures.

ranking.py     how well a ranking serves its query (mAP, R@k, nDCG@k, ...)
bias.py        what a pool of all languages does to languages (rank distance, preference, shares)
peer.py        whether passages of the same relevance rank alike in all languages (PEER)
robustness.py  how the figures spread over language pairs
statistics.py  intervals, paired tests, corrections
comparison.py  two evaluations of the same queries, compared
"""
