"""Top-k search over vectors of any number, spread over a Ray cluster, as exact as one index.

vector_files   vectors on disk: rows in blocks by language, in parts that are mapped into memory
partition      which rows each shard holds: an equal slice of every language
joined_vectors several sets of vectors as one, for additions
shard          FAISS over one shard's rows. The only door to faiss, with shard_gpu, its GPU forms
exact          the scores that decide, the same wherever a vector lies, and the proof that nothing was missed
merge          rankings of the shards -> one ranking
build          vectors -> index files as a result set
service        shards as Ray actors: queries to all of them, answers merged, lost shards brought back
"""
