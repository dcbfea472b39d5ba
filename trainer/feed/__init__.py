"""Plan and prepared groups in, token ids of one rank's share of every global batch out, in step order.

fetch.py     slots -> texts, out of cached row groups
switch.py    texts of code-switched slots -> the same with words in other languages
collate.py   texts -> token ids, hashes and masks: a LocalBatch with its slots
cached.py    slots -> the same out of a token cache, where there is one
payload.py   a batch <-> one row of an Arrow table, to travel through Ray Data
stream.py    steps -> Ray Data -> batches, one ordered stream per rank
in_process.py  steps -> batches, made in the training process itself: for many short trainings
"""
