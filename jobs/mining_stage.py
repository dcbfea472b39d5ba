"""Groups with hard negatives: what an arm's encoder, trained without any, ranks high in the training groups.

mine        -> vectors/<fingerprint>    the distinct passages of the training groups
            -> groups/<fingerprint>     the same groups with negatives
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from cluster.config import to_plain
from cluster.fingerprint import fingerprint
from cluster.logs import get_logger
from cluster.storage import ResultSet, open_result_set, result_set_exists, write_result_set
from jobs.config import RunConfig, RunMiningConfig
from jobs.stages import UNTRAINED, VERSION, Stages
from retrieval.groups import open_groups
from retrieval.mining.corpus import Corpus, corpus_of
from retrieval.mining.mine import Miner, write_mined
from trainer.worker import ENCODER_FOLDER

_logger = get_logger("mining")


def mined_groups(stages: Stages, mining: RunMiningConfig) -> ResultSet:
    """The training groups of a run with hard negatives; mined now if they are not there, after training who mines."""
    encoder = _miner_encoder(stages, mining)
    identity: dict[str, Any] = {"stage": "mine", "version": VERSION, "encoder": encoder.name}
    identity |= {"groups": stages.groups_content, "precision": stages.config.evaluation.precision} | stages.revision
    name = f"groups/{fingerprint(identity | {'mining': to_plain(mining)})}"
    if not result_set_exists(stages.store, name):
        from jobs.searching import search_in

        groups = open_groups(stages.groups)
        corpus = corpus_of(groups.iter_groups(images=False), groups.languages)
        vectors = _passage_vectors(stages, encoder, corpus, identity)
        about = identity | {"groups": stages.groups.name, "mining": to_plain(mining)}
        with (
            write_result_set(stages.store, name, about) as folder,
            search_in(stages, vectors.name, "") as (search, spec),
        ):
            encode = _encoding(stages, encoder)
            read = spec.vector_files(stages.store).rows
            miner = Miner(mining, corpus, read, lambda texts, languages: encode(texts, "query", languages), search)
            write_mined(folder, groups, miner)
        _logger.info(
            "mined %d negatives; left out %d that score too high to be called wrong",
            miner.num_negatives, miner.num_too_good,
        )  # fmt: skip
    return open_result_set(stages.store, name)


def _miner_encoder(stages: Stages, mining: RunMiningConfig) -> ResultSet:
    """The encoder that mines, trained on the groups as they are."""
    base = Stages(without_mining(stages.config), stages.store.uri, stages.shared)
    if mining.arm != UNTRAINED:
        from jobs.run import train_arms

        train_arms(base, [mining.arm])
    return base.encoder(mining.arm)


def without_mining(config: RunConfig) -> RunConfig:
    """The run that trains who mines: the same, but for mined negatives."""
    feed = config.training.feed.model_copy(update={"hard_negatives": 0})
    return config.model_copy(
        update={"mining": None, "training": config.training.model_copy(update={"feed": feed})},
    )


def _passage_vectors(stages: Stages, encoder: ResultSet, corpus: Corpus, identity: dict[str, Any]) -> ResultSet:
    name = f"vectors/{fingerprint(identity | {'stage': 'encode', 'of': 'training passages'})}"
    if not result_set_exists(stages.store, name):
        counts = [len(texts) for texts in corpus.texts]
        if stages.config.encoding.spreads(sum(counts)):
            _encode_over_cluster(stages, name, encoder, corpus, identity)
        else:
            _encode_here(stages, name, encoder, corpus, identity)
    return open_result_set(stages.store, name)


def _encode_here(stages: Stages, name: str, encoder: ResultSet, corpus: Corpus, identity: dict[str, Any]) -> None:
    from retrieval.index.vector_files import write_vector_files

    encode = _encoding(stages, encoder)
    blocks = (
        encode(texts, "passage", [language] * len(texts))
        for language, texts in zip(corpus.languages, corpus.texts, strict=True)
        if texts
    )
    counts = [len(texts) for texts in corpus.texts]
    with write_result_set(stages.store, name, identity) as folder:
        first = next(blocks)
        write_vector_files(folder, corpus.languages, counts, _chained(first, blocks), first.shape[1])


def _encode_over_cluster(
    stages: Stages, name: str, encoder: ResultSet, corpus: Corpus, identity: dict[str, Any]
) -> None:
    from jobs.encoding_pool import Side, encode_over_cluster
    from retrieval.index.vector_files import describe_parts

    counts, config = [len(texts) for texts in corpus.texts], stages.config
    texts = [text for of_language in corpus.texts for text in of_language]
    languages = np.repeat(corpus.languages, counts).tolist()
    content = {"groups": stages.groups_content, "of": "training passages"}
    sides = [Side("passages", "passage", texts, languages)]
    done = encode_over_cluster(
        stages.store, name, encoder.name, sides, content, config.evaluation, config.encoding, config.ray
    )
    parts = done.parts["passages"]
    about = identity | {"texts": done.texts, "parts": [part.name for part in parts]}
    with write_result_set(stages.store, name, about) as folder:
        describe_parts(folder, corpus.languages, counts, done.dimension, parts)


def _chained(first: np.ndarray, rest: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from rest


def _encoding(stages: Stages, encoder: ResultSet) -> Any:
    """Texts, role, languages -> vectors."""
    import functools

    from jobs.encoding import load_on_device
    from retrieval.encode import encode_texts

    model, tokens = load_on_device(encoder.folder / ENCODER_FOLDER, stages.config.encoding.gpus > 0)
    options = stages.config.evaluation
    return functools.partial(
        encode_texts,
        model,
        tokens,
        max_tokens_per_batch=options.max_tokens_per_batch,
        precision=options.precision,
    )
