"""Token ids: made once, and read by every arm, seed and trial with the same tokenizer.

tokenise    -> tokens/<fingerprint>    of the training groups (retrieval/group_tokens.py)
            -> tokens/<fingerprint>    of a collection that several encoders encode (retrieval/token_lookup.py)
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cluster.fingerprint import fingerprint
from cluster.logs import get_logger
from cluster.storage import ResultSet, result_set_exists, write_result_set
from jobs.stages import BM25, VERSION, Stages, content_of_groups
from trainer.worker import ENCODER_FOLDER

if TYPE_CHECKING:
    from retrieval.groups import PreparedGroups
    from retrieval.records import Collection
    from retrieval.token_lookup import Texts

_logger = get_logger("tokens")


def training_tokens(stages: Stages) -> ResultSet | None:
    """Token ids of the training groups as `training.feed.token_cache` wants them; made now if they are not there.

    The name holds the content of the groups and what the tokenizer makes of it, so encoders that differ in their
    weights share it.
    """
    choice = stages.config.training.feed.token_cache
    if choice == "never":
        return None
    from retrieval.encoder.folder import load_encoder_tokens
    from retrieval.group_tokens import write_group_tokens
    from retrieval.groups import open_groups

    tokens = load_encoder_tokens(stages.start.folder / ENCODER_FOLDER)
    identity = {
        "stage": "tokens",
        "version": VERSION,
        "groups": content_of_groups(stages.training_groups),
        "tokens": tokens.fingerprint,
    } | stages.revision
    name = f"tokens/{fingerprint(identity)}"
    if not result_set_exists(stages.store, name):
        groups = open_groups(stages.training_groups)
        if choice == "auto" and not _pays(stages, groups):
            return None
        _logger.info("tokenising the training groups once, for every arm")
        with write_result_set(stages.store, name, identity | {"groups": stages.training_groups.name}) as folder:
            write_group_tokens(folder, groups, tokens)
    return stages.opened(name)


def _pays(stages: Stages, groups: "PreparedGroups") -> bool:
    """Whether the arms still to be trained draw at least as many pairs as there are.

    Arms that switch words are not counted: their texts are made and tokenised as they come.
    """
    there = sum(source.num_groups * len(source.languages) for source in groups.sources)
    arms = {arm: mixing for arm, mixing in stages.config.all_arms.items() if not mixing.uses("code_switched")}
    untrained = [arm for arm in arms if not result_set_exists(stages.store, stages.trained_name(arm))]
    return sum(arms[arm].batch for arm in untrained) * stages.config.training.steps >= there


def collection_tokens(
    stages: Stages, name: str, encoder: ResultSet, collection: "Collection", several: bool = False
) -> ResultSet | None:
    """Token ids of a collection's texts, by the tokenizer of an encoder; made now if they are not there.

    None where a run has one encoder only, unless there will be `several`, and no other left them.
    """
    from retrieval.encoder.folder import load_encoder_tokens
    from retrieval.token_lookup import write_token_lookup

    tokens = load_encoder_tokens(encoder.folder / ENCODER_FOLDER)
    identity = {
        "stage": "tokens",
        "version": VERSION,
        "collection": stages.evaluated_content(name),
        "tokens": tokens.fingerprint,
    } | stages.revision
    key = f"tokens/{fingerprint(identity)}"
    if not result_set_exists(stages.store, key):
        if not several and len(set(stages.retrievers()) - {BM25}) < 2:
            return None
        with write_result_set(stages.store, key, identity | {"collection": name}) as folder:
            write_token_lookup(folder, tokens, _texts(collection))
    return stages.opened(key)


def _texts(collection: "Collection") -> "Iterator[Texts]":
    """Queries and passages of a collection that are no images, each with its role and languages."""
    names = np.array(collection.languages)
    for texts, images, role, language in (
        (collection.query_texts, collection.query_images, "query", collection.query_language),
        (collection.passage_texts, collection.passage_images, "passage", collection.passage_language),
    ):
        rows = [row for row in range(len(texts)) if images is None or images[row] is None]
        yield [texts[row] for row in rows], role, names[language[rows]].tolist()  # type: ignore[misc]
