"""What benchmarks of encoders share: XQuAD-R's questions with their sentences, and the shape of the encoder.

XQuAD-R is for evaluation: what is trained on it here is thrown away.
"""

from pathlib import Path

import numpy as np

from retrieval.datasets.xquad_r import XquadRConfig, read_collection
from retrieval.encoder.config import EncoderConfig, FreshConfig

SHAPE = FreshConfig(layers=4, hidden=256, heads=4, intermediate=1024, vocabulary=16_000)
"""7.4 million parameters."""
ENCODER = EncoderConfig(fresh=SHAPE, max_query_tokens=128, max_passage_tokens=128, query_prefix="", passage_prefix="")
Pairs = list[tuple[str, str]]
"""Questions and their sentences."""


def pairs_by_language(data: Path) -> dict[str, Pairs]:
    """Language -> its questions, each with the sentence of the same language that answers it."""
    collection = read_collection(XquadRConfig(path=data))
    language = np.asarray(collection.query_language)[collection.judged_query]
    same = language == np.asarray(collection.passage_language)[collection.judged_passage]
    pairs: dict[str, Pairs] = {code: [] for code in collection.languages}
    for query, passage in zip(collection.judged_query[same], collection.judged_passage[same], strict=True):
        code = collection.languages[int(collection.query_language[query])]
        pairs[code].append((collection.query_texts[query], collection.passage_texts[passage]))
    return pairs
