"""What can be known to be wrong before data are prepared and Ray starts."""

from cluster.errors import ConfigError
from cluster.storage import open_store
from jobs.config import DataConfig, EvaluationConfig, RunConfig
from retrieval.datasets import describe_dataset, has_images, require_inputs, searches_images
from trainer.config import ValidationConfig
from trainer.mixing.config import MixingConfig, SourceShape


def check(config: RunConfig, root: str | None = None, train: bool = True) -> list[str]:
    """Look at everything that is cheap to look at; what only the data can tell, prepare finds.

    Args:
        train: whether there has to be something to train on.

    Returns:
        What was looked at, a line each.

    Raises:
        ConfigError, DataError: one line on the first thing that cannot work.
    """
    data, training = config.data, config.training
    store = open_store(root or config.root, config.storage)
    if train and not data.train:
        raise ConfigError("data.train: empty; name at least one data set to train on")
    for dataset in data.all_data_sets:
        require_inputs(dataset)
    languages = _languages_at_most(data) if data.train else None
    for arm, mixing in config.all_arms.items():
        training.check_batch(mixing.batch)
        if languages is not None:
            _check_mix(arm, mixing, languages, any(map(has_images, data.train)))
    _check_images(config)
    if data.validation is not None and training.validation.every:
        _check_measure(training.validation)
    judged = ", ".join(f"{name} = {describe_dataset(dataset)}" for name, dataset in data.evaluation.items())
    return [
        f"configuration {config.name}: valid",
        f"train on {', '.join(map(describe_dataset, data.train))}",
        f"evaluate on {judged or 'nothing'}",
        f"arms: {', '.join(config.all_arms)}",
        f"batch {config.mixing.batch} over {training.workers} worker(s), {training.steps} steps",
        f"root {store.uri}",
    ]


def require_evaluation(data: DataConfig) -> None:
    """Whether there is anything to evaluate on.

    Raises:
        ConfigError: there is not.
    """
    if not data.evaluation:
        raise ConfigError("data.evaluation: empty; name at least one data set to evaluate on")


def require_whole_rankings(evaluation: EvaluationConfig) -> None:
    """Whether evaluations will have what a report shows.

    Raises:
        ConfigError: they will not.
    """
    if evaluation.engine != "exact":
        raise ConfigError(
            f"evaluation.engine: {evaluation.engine} leaves out mAP and rank distance, which a report is made of; "
            "evaluate with `mixlingual evaluate`, or set it to exact"
        )


def _languages_at_most(data: DataConfig) -> tuple[str, ...] | None:
    """Languages beyond which no prepared source goes; None where only the data sets' files can tell.

    Raises:
        ConfigError: a language is wanted that no data set has.
    """
    named = [getattr(dataset, "languages", None) for dataset in data.train]
    if not all(named):
        return data.languages
    there = tuple(dict.fromkeys(language for languages in named for language in languages or ()))
    missing = [language for language in data.languages or () if language not in there]
    if missing:
        raise ConfigError(f"data.languages: no data set of data.train has '{missing[0]}'; they have {', '.join(there)}")
    return data.languages or there


def _check_mix(arm: str, mixing: MixingConfig, languages: tuple[str, ...], images: bool) -> None:
    """Whether the mix could be drawn from a source with all the languages there are: less wide ones only have fewer."""
    from trainer.mixing.plan import Plan

    try:
        Plan(mixing, (SourceShape("data.train", languages, mixing.batch, 1, has_images=images),), seed=0)
    except ConfigError as error:
        raise ConfigError(f"arm {arm}: {error}") from None


def _check_images(config: RunConfig) -> None:
    """Whether what has to do with images goes together: the data, the mix, the encoder and the baselines."""
    searched = [name for name, dataset in config.data.evaluation.items() if searches_images(dataset)]
    shares = [arm for arm, mixing in config.all_arms.items() if mixing.image_share]
    if config.encoder.image is None and (shares or searched):
        reader = "mixing.image_share" if shares else f"data.evaluation.{searched[0]}"
        raise ConfigError(f"encoder.image: missing, but {reader} needs a tower for images; for example fresh: {{}}")
    if searched and "bm25" in config.evaluation.baselines:
        raise ConfigError(
            f"evaluation.baselines: bm25 reads no images, and data.evaluation.{searched[0]} has them; "
            "use baselines: [untrained]"
        )
    if searched and config.evaluation.throughput:
        raise ConfigError(
            f"evaluation.throughput: measured on texts only, and data.evaluation.{searched[0]} has images; leave it out"
        )


def _check_measure(validation: ValidationConfig) -> None:
    from retrieval.measures.ranking import MEASURES

    name = validation.measure.partition(".")[2]
    if name not in MEASURES:
        raise ConfigError(f"training.validation.measure: unknown measure '{name}'; known: {', '.join(MEASURES)}")
