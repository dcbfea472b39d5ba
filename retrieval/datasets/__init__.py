"""Data sets by name: one module each, found here and imported when used.

A data set's module defines `class <Name>Config(Config)` with `dataset: Literal["<name>"]`, and

    read_groups(config) -> Iterator[Group]       what one trains on; group ids are `<label>/<id>`, passage ids likewise
    read_collection(config) -> Collection        what one evaluates on; without it, the groups make the collection
    input_files(config) -> Sequence[Path]        the files it reads; not needed by a data set that reads none
    protected(config) -> Config                  what must not be trained on; without it, all languages of the data set
"""

import dataclasses
import difflib
import hashlib
import importlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from cluster.config import Config, describe, to_plain
from cluster.errors import ConfigError, DataError
from cluster.fingerprint import file_sha256
from retrieval.cleaning import is_empty, normalise
from retrieval.formats.lines import require_file
from retrieval.formats.record import is_text
from retrieval.images import content_key
from retrieval.records import Collection, Group, collection_from_groups

DATASETS: dict[str, str] = {
    "afriqa": "retrieval.datasets.afriqa",
    "atlas": "retrieval.datasets.atlas",
    "belebele": "retrieval.datasets.belebele",
    "drawn_scenes": "retrieval.datasets.drawn_scenes",
    "exams": "retrieval.datasets.exams",
    "flores": "retrieval.datasets.flores",
    "generic": "retrieval.datasets.generic",
    "mintaka": "retrieval.datasets.mintaka",
    "miracl": "retrieval.datasets.miracl",
    "mkqa": "retrieval.datasets.mkqa",
    "mlqa_r": "retrieval.datasets.mlqa_r",
    "mmarco": "retrieval.datasets.mmarco",
    "mtop": "retrieval.datasets.mtop",
    "multi30k": "retrieval.datasets.multi30k",
    "ntrex_128": "retrieval.datasets.ntrex_128",
    "sib_200": "retrieval.datasets.sib_200",
    "squad_parallel": "retrieval.datasets.squad_parallel",
    "squad_train": "retrieval.datasets.squad_train",
    "tatoeba": "retrieval.datasets.tatoeba",
    "tico_19": "retrieval.datasets.tico_19",
    "tydi_qa": "retrieval.datasets.tydi_qa",
    "xflickrco": "retrieval.datasets.xflickrco",
    "xm3600": "retrieval.datasets.xm3600",
    "xquad_r": "retrieval.datasets.xquad_r",
}
"""Name -> module."""


def _validated(value: Any) -> Config:
    """Validate a mapping as the configuration of the data set that it names; a ready configuration passes."""
    if isinstance(value, Config) and getattr(value, "dataset", None) in DATASETS:
        return value
    known = ", ".join(DATASETS)
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping such as {{dataset: squad_parallel}}; known data sets: {known}")
    name = value.get("dataset")
    if name is None:
        raise _at(("dataset",), f"missing; name one of the data sets: {known}", value)
    if not isinstance(name, str) or name not in DATASETS:
        near = difflib.get_close_matches(str(name), DATASETS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise _at(("dataset",), f"unknown data set; {hint}known: {known}", name)
    config_class = _config_class(name)
    try:
        return config_class.model_validate(dict(value))
    except ValidationError as error:
        # The known keys are those of this data set, which the configuration around it cannot know.
        field = tuple(error.errors(include_url=False)[0]["loc"])
        place = ".".join(map(str, field)) or "the whole"
        raise _at(field, describe(error, config_class).removeprefix(f"{place}: "), None) from None


def _at(field: tuple[int | str, ...], message: str, found: Any) -> ValidationError:
    """A validation error placed at a field, so that the configuration around it can say `sources.0.<field>`."""
    # A mapping stands for `found` where the message already shows what was found.
    problem = PydanticCustomError("data_set", "{message}", {"message": message})
    details = InitErrorDetails(type=problem, loc=field, input={} if found is None else found)
    return ValidationError.from_exception_data("data set", [details])


AnyDataset = Annotated[SerializeAsAny[Config], BeforeValidator(_validated)]
"""A field that holds the configuration of any known data set."""


def parse_dataset(fields: Mapping[str, Any], where: str = "data set") -> Config:
    """The configuration of the data set that `fields["dataset"]` names; `where` names its origin in errors.

    Raises:
        ConfigError: unknown data set or field, or a value that cannot be used; known ones are listed.
    """
    try:
        return _validated(fields)
    except ValidationError as error:
        raise ConfigError(f"{where}: {describe(error, Config)}") from None
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def dataset_label(config: Config) -> str:
    """What ids of the data set begin with: its name, or the name its user gave it (`generic`)."""
    return str(getattr(config, "name", None) or _name_of(config))


def read_groups(config: Config) -> Iterator[Group]:
    """The data set's groups, for training and validation.

    Raises:
        DataError: files are missing, cut short or of another form; or the data set is for evaluation only.
    """
    return iter(_module(_name_of(config)).read_groups(config))


def read_collection(config: Config) -> Collection:
    """What an evaluation on the data set searches, texts in the normal form that prepared groups have.

    Raises:
        DataError: see `read_groups`; or a query is empty.
    """
    module = _module(_name_of(config))
    if hasattr(module, "read_collection"):
        collection: Collection = module.read_collection(config)
    else:
        groups = list(read_groups(config))
        present = {language for group in groups for language in group.pairs}
        languages = getattr(config, "languages", None) or sorted(present)
        collection = collection_from_groups(dataset_label(config), groups, languages)
    contexts = collection.passage_contexts
    normal = dataclasses.replace(
        collection,
        query_texts=_normal(collection.query_texts),
        passage_texts=_normal(collection.passage_texts),
        passage_contexts=None if contexts is None else _normal(contexts),
    )
    if not is_text("\n".join((*normal.query_ids, *normal.passage_ids))):
        raise DataError(f"{normal.name}: an id holds half a surrogate pair; write the files as UTF-8")
    images = normal.query_images or [None] * len(normal.query_texts)
    for query_id, text, image in zip(normal.query_ids, normal.query_texts, images, strict=True):
        if is_empty(text) and image is None:
            raise DataError(f"{normal.name}: query {query_id} is empty; an evaluation cannot leave it out silently")
    return normal


def content_fingerprints(config: Config) -> dict[str, str]:
    """What the data set's content is now: SHA-256 of each input file, or of the groups where it reads no files."""
    module = _module(_name_of(config))
    if hasattr(module, "input_files"):
        require_inputs(config)
        return {_name_within(config, path): file_sha256(path) for path in module.input_files(config)}
    return {"groups": _sha256_of_groups(read_groups(config))}


def _name_within(config: Config, path: Path) -> str:
    """The file's path within the data set: files of one name in different folders (`en/train.txt`) are different."""
    folder = getattr(config, "path", None)
    return path.relative_to(folder).as_posix() if isinstance(folder, Path) and folder in path.parents else path.name


def require_inputs(config: Config) -> None:
    """Check that the files a data set reads are there, without reading them.

    Raises:
        DataError: a folder, file or language is missing; it is named.
    """
    module = _module(_name_of(config))
    if hasattr(module, "input_files"):
        for path in module.input_files(config):
            require_file(path)


def in_all_languages(config: Config) -> Config:
    """The same data set with its default languages: what must not be trained on is not only what is evaluated.

    A data set that is not parallel, or whose pool of passages is no secret, may say otherwise (`protected`).
    """
    module = _module(_name_of(config))
    if hasattr(module, "protected"):
        return module.protected(config)  # type: ignore[no-any-return]
    if "languages" not in type(config).model_fields:
        return config
    return config.model_copy(update={"languages": type(config).model_fields["languages"].get_default()})


def has_images(config: Config) -> bool:
    """Whether the data set's groups have images, as far as its configuration tells."""
    return bool(getattr(config, "images", None))


def searches_images(config: Config) -> bool:
    """Whether images ask or are found in an evaluation on the data set."""
    return getattr(config, "search", "captions") != "captions"


def describe_dataset(config: Config) -> str:
    """The data set and its split in a word, for people."""
    split = getattr(config, "split", None)
    return f"{dataset_label(config)} ({split})" if split else dataset_label(config)


def plain_without_path(config: Config) -> dict[str, Any]:
    """Fields of the configuration that decide the content; where the files lie does not (their content does)."""
    places = {"path"} | ({"images"} if isinstance(getattr(config, "images", None), Path) else set())
    return {name: value for name, value in to_plain(config).items() if name not in places}


def _name_of(config: Config) -> str:
    name = getattr(config, "dataset", None)
    assert isinstance(name, str) and name in DATASETS, f"{type(config).__name__} is not a data set's configuration"
    return name


def _module(name: str) -> ModuleType:
    return importlib.import_module(DATASETS[name])


def _config_class(name: str) -> type[Config]:
    words = (word.capitalize() for word in name.split("_"))
    return getattr(_module(name), f"{''.join(words)}Config")  # type: ignore[no-any-return]


def _normal(texts: Iterable[str]) -> list[str]:
    return [normalise(text) for text in texts]


def _sha256_of_groups(groups: Iterable[Group]) -> str:
    digest = hashlib.sha256()
    for group in groups:
        pairs = {code: [pair.query, pair.passage, pair.negatives] for code, pair in group.pairs.items()}
        digest.update(json.dumps([group.id, group.passage_id, pairs], sort_keys=True).encode())
        if group.image is not None:
            digest.update(content_key(group.image).encode())
    return digest.hexdigest()
