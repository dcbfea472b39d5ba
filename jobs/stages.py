"""The stages of a run. Each is named by a fingerprint of its inputs, so what was done is found and never done twice.

prepare     -> groups/<fingerprint>
mine        -> groups/<fingerprint>        with hard negatives, where they are asked for (jobs/mining_stage.py)
dictionary  -> dictionaries/<fingerprint>  word translations out of the training groups, where they are asked for
start       -> encoders/<fingerprint>      the encoder before training
tokenise    -> tokens/<fingerprint>        token ids of the training groups, where they pay (jobs/token_stage.py)
train       -> encoders/<fingerprint>      one per arm, with telemetry and ledger
encode      -> vectors/<fingerprint>       a collection's texts by one encoder (jobs/evaluation_stage.py)
evaluate    -> evaluations/<fingerprint>
report      -> runs/<fingerprint>
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cluster.config import Config, to_plain
from cluster.errors import ConfigError, DataError
from cluster.fingerprint import fingerprint
from cluster.logs import get_logger
from cluster.storage import ResultSet, Store, open_result_set, open_store, result_set_exists, write_result_set
from jobs.config import RunConfig, result_deciding, result_deciding_mix
from jobs.start_stage import encoder_identity, write_start
from retrieval.cleaning import Dropped, clean_group
from retrieval.datasets import content_fingerprints, plain_without_path, read_groups
from retrieval.records import Collection, Group, collection_from_groups
from trainer.mixing.config import MixingConfig
from trainer.worker import ENCODER_FOLDER

if TYPE_CHECKING:
    from jobs.evaluation_stage import EvaluationStage

# Raised when the same inputs would give another result: every fingerprint holds it.
VERSION = 2
BM25, UNTRAINED = "BM25", "untrained"
SHARD_ROWS = 65536
_logger = get_logger("stages")


@dataclass
class Shared:
    """What the stages of several configurations over one store have in common, by the configuration of each.

    With all of it at hand (`jobs.ablation.sharing`) stages work where the data sets' files are not.
    """

    contents: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What data sets are and hold."""
    groups: dict[str, str] = field(default_factory=dict)
    """Names of prepared groups."""
    starts: dict[str, str] = field(default_factory=dict)
    """Names of encoders to start from."""
    validations: dict[str, Collection] = field(default_factory=dict)
    collections: dict[str, Collection] = field(default_factory=dict)
    """Collections to evaluate on that are kept in memory."""
    opened: dict[str, Any] = field(default_factory=dict)
    """What this process has read of the store: not to be read again for each configuration, and not to travel."""

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"opened": {}}


class Stages:
    """The stages of one configuration over one store."""

    def __init__(self, config: RunConfig, root: str | None = None, shared: Shared | None = None) -> None:
        self.config = config
        self.store: Store = open_store(root or config.root, config.storage)
        self.shared = Shared() if shared is None else shared

    # Data

    @cached_property
    def groups(self) -> ResultSet:
        """Prepared groups; prepared now if they are not there."""
        from retrieval.prepare import PrepareConfig, prepare

        data = self.config.data
        judged = [*data.evaluation.values(), *([data.validation] if data.validation else [])]
        prepared = PrepareConfig(
            sources=data.train,
            languages=data.languages,
            evaluation=tuple(judged),
            on_leak=data.on_leak,
            min_groups=data.min_groups,
            max_groups=data.max_groups,
            row_group_rows=data.row_group_rows,
            # About the default, and whole row groups.
            shard_rows=max(SHARD_ROWS // data.row_group_rows, 1) * data.row_group_rows,
        )
        key = fingerprint(to_plain(prepared))
        if key not in self.shared.groups:
            groups = prepare(prepared, self.store)
            self.shared.groups[key], self.shared.opened[groups.name] = groups.name, groups
        return self.opened(self.shared.groups[key])

    def opened(self, name: str) -> ResultSet:
        """A result set whose files are checked once, however many configurations use it."""
        if name not in self.shared.opened:
            self.shared.opened[name] = open_result_set(self.store, name)
        return self.shared.opened[name]

    @property
    def groups_content(self) -> str:
        """What was prepared, whatever it was prepared beside: another data set to evaluate on retrains nothing."""
        return content_of_groups(self.groups)

    @cached_property
    def training_groups(self) -> ResultSet:
        """What is trained on: the prepared groups, with hard negatives where they are to be mined."""
        if self.config.mining is None:
            return self.groups
        from jobs.mining_stage import mined_groups

        return mined_groups(self, self.config.mining)

    @cached_property
    def dictionary(self) -> ResultSet:
        """Word translations, induced from the training groups and nothing else; induced now if they are not there."""
        identity = {"stage": "dictionary", "version": VERSION, "groups": self.groups_content} | self.revision
        name = f"dictionaries/{fingerprint(identity)}"
        if not result_set_exists(self.store, name):
            from jobs.code_switching import write_groups_dictionary
            from retrieval.groups import open_groups

            _logger.info("inducing a dictionary from the training groups")
            with write_result_set(self.store, name, identity | {"groups": self.groups.name}) as folder:
                write_groups_dictionary(folder, open_groups(self.groups))
        return open_result_set(self.store, name)

    @cached_property
    def _switchable(self) -> tuple[str, ...]:
        """Languages that the dictionary is good enough for; says once which it is not."""
        from jobs.code_switching import switchable_languages

        return switchable_languages(self.dictionary)

    @cached_property
    def validation(self) -> Collection | None:
        """The small collection that selects an encoder: a keyed sample of the validation data's groups."""
        if self.config.data.validation is None or not self.config.training.validation.every:
            return None
        config = self.config.training.validation
        with_tower = self.config.encoder.image is not None
        key = fingerprint([to_plain(self.config.data.validation), config.max_groups, config.measure, with_tower])
        if key not in self.shared.validations:
            self.shared.validations[key] = self._read_validation()
        return self.shared.validations[key]

    def _read_validation(self) -> Collection:
        config = self.config.training.validation
        assert self.config.data.validation is not None
        read = (clean_group(group, None, Dropped()) for group in read_groups(self.config.data.validation))
        chosen = sorted((group for group in read if group), key=_shuffled)[: config.max_groups]
        languages = sorted({language for group in chosen for language in group.pairs})
        if len(languages) == 1 and config.measure.startswith("cross."):
            raise ConfigError(
                f"training.validation.measure: {config.measure} needs validation data in two languages or more, "
                f"data.validation has {languages[0]}; use multi.{config.measure.partition('.')[2]}"
            )
        # With a tower for images, and an image in every group, captions and images search captions and images.
        with_images = self.config.encoder.image is not None and all(group.image is not None for group in chosen)
        return collection_from_groups("validation", chosen, languages, "everything" if with_images else "captions")

    def _content(self, dataset: Config) -> dict[str, Any]:
        """What a data set is; its files are read once for this."""
        place = fingerprint(to_plain(dataset))
        contents = self.shared.contents
        if place not in contents:
            contents[place] = {"fields": plain_without_path(dataset), "files": content_fingerprints(dataset)}
        return contents[place]

    def collection_fingerprint(self, name: str) -> str:
        """What a collection holds: results on collections of the same content can be compared."""
        return fingerprint(self.evaluated_content(name))

    @property
    def revision(self) -> dict[str, str]:
        """Part of every identity but those of groups and copied encoders, which their content names alone."""
        return {"revision": self.config.revision} if self.config.revision else {}

    def evaluated_content(self, name: str) -> dict[str, Any]:
        """What a data set to evaluate on is and holds, for fingerprints."""
        return self._content(self.evaluated(name))

    def evaluated(self, name: str) -> Config:
        """The data set to evaluate on that has this name in `data.evaluation`.

        Raises:
            ConfigError: there is none.
        """
        known = self.config.data.evaluation
        if name not in known:
            raise ConfigError(f"data.evaluation: has no '{name}'; it has {', '.join(known) or 'nothing'}")
        return known[name]

    # Encoders

    @cached_property
    def start(self) -> ResultSet:
        """The encoder that every arm starts from: a copy of the one named, or a fresh one fitted to the groups."""
        encoder = self.config.encoder
        of_groups = {"groups": self.groups_content} | self.revision if encoder.fresh is not None else {}
        key = fingerprint({"encoder": to_plain(encoder)} | of_groups)
        if key not in self.shared.starts:
            identity = {"stage": "start", "version": VERSION, "encoder": encoder_identity(encoder)} | of_groups
            self.shared.starts[key] = f"encoders/{fingerprint(identity)}"
        name = self.shared.starts[key]
        if not result_set_exists(self.store, name):
            with write_result_set(self.store, name, {"stage": "start", "encoder": to_plain(encoder)}) as folder:
                write_start(folder / ENCODER_FOLDER, encoder, self.groups)
        return self.opened(name)

    @cached_property
    def token_cache(self) -> ResultSet | None:
        """Token ids of the training groups, for every arm; made now where the configuration wants them. None = none."""
        from jobs.token_stage import training_tokens

        return training_tokens(self)

    def train_spec(self, arm: str) -> Any:
        """What training one arm takes.

        Raises:
            ConfigError: the arm's mix does not fit the groups, or the workers do not divide the batch.
        """
        from jobs.code_switching import stored_dictionary
        from retrieval.group_tokens import open_group_tokens
        from retrieval.groups import open_groups
        from trainer.feed.stream import FeedSpec
        from trainer.mixing.config import SourceShape
        from trainer.mixing.plan import Plan
        from trainer.worker import TrainSpec

        training, mixing = self.config.training, self.mixing(arm)
        training.check_batch(mixing.batch)
        groups = open_groups(self.training_groups)
        switching = mixing.uses("code_switched")
        usable = self._switchable if switching else None
        shapes = tuple(SourceShape.of(source, usable) for source in groups.sources)
        plan = Plan(mixing, shapes, self.config.seed)
        plan.batch(0)
        tokens, pixels = self._start_inputs()
        name = self.trained_name(arm)
        identity = name.rpartition("/")[2]
        cache = open_group_tokens(self.token_cache) if self.token_cache else None
        about = {"stage": "train", "arm": arm, "mixing": to_plain(mixing), "training": to_plain(training)}
        dictionary = stored_dictionary(self.dictionary) if switching else None
        about |= {"dictionary": dictionary.name} if dictionary else {}
        return TrainSpec(
            root=self.store.uri,
            name=name,
            prefix=f"training/{identity}",
            fingerprint=identity,
            seed=self.config.seed,
            encoder_folder=self.start.folder / ENCODER_FOLDER,
            start=self.start.name,
            feed=FeedSpec(plan, groups, tokens, training.feed, training.steps, dictionary, pixels, cache),
            training=training,
            validation=self.validation,
            about=about | {"seed": self.config.seed, "start": self.start.name, "groups": self.training_groups.name},
        )

    def _start_inputs(self) -> Any:
        """Tokenizer of the encoder that every arm starts from, and what it makes of images."""
        from retrieval.encoder.folder import load_encoder

        key = f"inputs of {self.start.name}"
        if key not in self.shared.opened:
            encoder, tokens = load_encoder(self.start.folder / ENCODER_FOLDER)
            self.shared.opened[key] = tokens, encoder.image.pixels if encoder.image else None
        return self.shared.opened[key]

    def mixing(self, arm: str) -> MixingConfig:
        """The mixing of one arm."""
        arms = self.config.all_arms
        if arm not in arms:
            raise ConfigError(f"arms: has no '{arm}'; it has {', '.join(arms)}")
        return arms[arm]

    def trained_name(self, arm: str) -> str:
        """Name of the arm's trained encoder."""
        mixing = self.mixing(arm)
        identity = {
            "stage": "train",
            "version": VERSION,
            "start": self.start.name,
            "groups": content_of_groups(self.training_groups),
            "mixing": result_deciding_mix(mixing),
            "training": result_deciding(self.config.training),
            "seed": self.config.seed,
        } | self.revision
        if self.validation is not None and self.config.data.validation is not None:
            identity["validation"] = self._content(self.config.data.validation)
        if mixing.uses("code_switched"):
            identity["dictionary"] = self.dictionary.name
        return f"encoders/{fingerprint(identity)}"

    def untrained_arms(self) -> list[str]:
        """Arms whose encoder is not there yet."""
        return [arm for arm in self.config.all_arms if not result_set_exists(self.store, self.trained_name(arm))]

    def encoder(self, arm: str) -> ResultSet:
        """The encoder of an arm, or the one before training for `untrained`.

        Raises:
            DataError: the arm has not been trained.
        """
        if arm == UNTRAINED:
            return self.start
        name = self.trained_name(arm)
        if not result_set_exists(self.store, name):
            raise DataError(
                f"{self.store.where(name)}: arm {arm} is not trained; train it first with this configuration"
            )
        return open_result_set(self.store, name)

    # Evaluation

    @cached_property
    def judging(self) -> "EvaluationStage":
        """What is encoded and evaluated in this run."""
        from jobs.evaluation_stage import EvaluationStage

        return EvaluationStage(self)

    def collection(self, name: str) -> Collection:
        """A collection to evaluate on, by its name in `data.evaluation`."""
        return self.judging.collection(name)

    def vectors(self, arm: str, name: str) -> ResultSet:
        """Vectors of a collection's queries and passages by an arm's encoder; encoded now if they are not there."""
        return self.judging.vectors(arm, name)

    def evaluation_name(self, arm: str, name: str) -> str:
        """Name of an evaluation of the queries as they are."""
        return self.judging.evaluation_name(arm, name)

    def evaluation(self, arm: str, name: str) -> ResultSet:
        """How an arm (or BM25, or the untrained encoder) does on a collection; evaluated now if it is not there."""
        return self.judging.evaluation(arm, name)

    def retrievers(self) -> list[str]:
        """Everything that is evaluated: the arms, then the baselines."""
        baselines = {"bm25": BM25, "untrained": UNTRAINED}
        return [*self.config.all_arms, *(baselines[name] for name in self.config.evaluation.baselines)]


def content_of_groups(groups: ResultSet) -> str:
    """What groups hold, whatever they were prepared beside."""
    return fingerprint({name: facts for name, facts in groups.files.items() if name.endswith(".parquet")})


def _shuffled(group: Group) -> str:
    return fingerprint(group.id)
