"""Token ids of the training groups: made once, and read by every arm, seed and trial with the same tokenizer.

tokenise    -> tokens/<fingerprint>
"""

from typing import TYPE_CHECKING

from cluster.fingerprint import fingerprint
from cluster.logs import get_logger
from cluster.storage import ResultSet, open_result_set, result_set_exists, write_result_set
from jobs.stages import VERSION, Stages, content_of_groups
from trainer.worker import ENCODER_FOLDER

if TYPE_CHECKING:
    from retrieval.groups import PreparedGroups

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
    return open_result_set(stages.store, name)


def _pays(stages: Stages, groups: "PreparedGroups") -> bool:
    """Whether the arms still to be trained draw at least as many pairs as there are."""
    there = sum(source.num_groups * len(source.languages) for source in groups.sources)
    return sum(stages.mixing(arm).batch for arm in stages.untrained_arms()) * stages.config.training.steps >= there
