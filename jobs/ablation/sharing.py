"""What all trials of a study share, made once before the first begins."""

from collections.abc import Iterable

from cluster.config import to_plain
from cluster.fingerprint import fingerprint
from jobs.ablation.study import Trial
from jobs.config import RunConfig
from jobs.stages import Shared, Stages
from jobs.token_stage import collection_tokens


def share(trials: Iterable[Trial], root: str | None, shared: Shared) -> None:
    """Prepare the groups, make the encoders to start from, read the collections, tokenise all texts, of these trials.

    Raises:
        ConfigError, DataError: a mix does not fit the groups, or data are missing: met now, not hours later.
    """
    for trial in trials:
        stages = Stages(_tokenising(trial.config), root, shared)
        stages.train_spec("mix")
        for name, dataset in trial.config.data.evaluation.items():
            stages.evaluated_content(name)
            place = fingerprint(to_plain(dataset))
            if place not in shared.collections:
                shared.collections[place] = stages.collection(name)
            collection_tokens(stages, name, stages.start, shared.collections[place], several=True)


def _tokenising(config: RunConfig) -> RunConfig:
    """With token ids made ahead unless that is not wanted: one trial may not be worth it, all of them are."""
    if config.training.feed.token_cache != "auto":
        return config
    feed = config.training.feed.model_copy(update={"token_cache": "always"})
    return config.model_copy(update={"training": config.training.model_copy(update={"feed": feed})})
