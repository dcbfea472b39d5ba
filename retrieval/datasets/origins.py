"""Where the data sets are published: addresses, versions, SHA-256, licences, and whether we may fetch them for a user.

Addresses name a commit wherever there is one, so that their content never changes. A SHA-256 stands where the file
itself was at hand, or where public records give it (said there); what comes without one is checked by the data set's
reader, against the published content or counts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from retrieval.datasets.checksums import published_digests
from retrieval.datasets.sib_200 import PUBLISHED_SPLITS as SIB_200_SPLITS
from retrieval.datasets.tatoeba import PUBLISHED_PAIRS as TATOEBA_LANGUAGES

_RAW = "https://raw.githubusercontent.com"
_META = "https://dl.fbaipublicfiles.com"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file to fetch."""

    path: str
    """Where it goes in the data set's folder; for an archive, where the archive itself goes."""
    url: str
    language: str = ""
    """The data set's code of the language the file is of; '' = needed whatever the languages."""
    sha256: str = ""
    """Of the file as it is sent; '' = not known."""
    unpack: Literal["", "zip", "tar"] = ""
    """Which kind of archive it is."""
    strip: int | None = None
    """Leading folders taken off the names of an archive's members; None takes off all."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one data set comes from."""

    version: str
    licence: str
    files: tuple[RemoteFile, ...] = ()
    """What `download` fetches; nothing where a person has to."""
    terms: str = ""
    """What a person has to accept before the files are fetched; '' = nothing beyond the licence."""
    by_hand: str = ""
    """How a person gets the files, where we do not fetch them."""


def _at_commit(repository: str, commit: str, path: str) -> str:
    return f"{_RAW}/{repository}/{commit}/{path}"


def _codes(dataset: str) -> list[str]:
    """The languages whose content is known."""
    return sorted(code for code in published_digests(dataset) if code != "meta")


def _xquad_r() -> Origin:
    commit = "9bc8c7fb6dd8d01d72a05a93c2cb96882b0d299c"
    files = [
        RemoteFile(
            name,
            _at_commit("google-research-datasets/lareqa", commit, f"xquad-r/{name}"),
            name.removesuffix(".json"),
            sha256,
        )
        for name, sha256 in published_digests("xquad_r").items()
    ]
    return Origin(f"LAReQA {commit[:7]}", "CC BY-SA 4.0", tuple(files))


def _sib_200() -> Origin:
    commit = "593cea88519930f776c1a4a1980b6a35b39dca57"
    paths = [(code, f"{code}/{split}.tsv") for code in _codes("sib_200") for split in SIB_200_SPLITS]
    files = [
        RemoteFile(path, _at_commit("dadelani/sib-200", commit, f"data/annotated/{path}"), code) for code, path in paths
    ]
    return Origin(f"SIB-200 {commit[:7]}", "CC BY-SA 4.0 (texts)", tuple(files))


def _ntrex_128() -> Origin:
    commit = "8561f6a622db9edad1217683e5c83daefd8bb2bf"
    names = {code: f"newstest2019-{'src' if code == 'eng' else 'ref'}.{code}.txt" for code in _codes("ntrex_128")}
    files = [
        RemoteFile(name, _at_commit("MicrosoftTranslator/NTREX", commit, f"NTREX-128/{name}"), code)
        for code, name in names.items()
    ]
    return Origin(f"NTREX {commit[:7]}", "CC BY-SA 4.0", tuple(files))


def _tatoeba() -> Origin:
    commit = "74bc6ae7ffb7cba670fe0f428d0ede9f666fb821"
    names = [(code, f"tatoeba.{code}-eng.{side}") for code in TATOEBA_LANGUAGES for side in (code, "eng")]
    files = [
        RemoteFile(name, _at_commit("facebookresearch/LASER", commit, f"data/tatoeba/v1/{name}"), code)
        for code, name in names
    ]
    return Origin(f"LASER {commit[:7]}", "CC BY 2.0 FR", tuple(files))


def _tico_19() -> Origin:
    commit = "d97615f9cffa28ec7de571e00fbd513e5a1c7fc7"
    files = [
        RemoteFile(
            f"all.en-{code}.tmx.zip",
            _at_commit("tico-19/tico-19.github.io", commit, f"data/TM/all.en-{code}.tmx.zip"),
            code,
        )
        for code in _codes("tico_19")
        if code != "en"
    ]
    return Origin(f"TICO-19 {commit[:7]}", "CC0 1.0", tuple(files))


def _mintaka() -> Origin:
    commit = "cbb87072c9e0c92a2baf585f1d67b5a9003081a0"
    url = _at_commit("amazon-science/mintaka", commit, "data/mintaka_dev.json")
    return Origin(f"Mintaka {commit[:7]} (dev)", "CC BY 4.0", (RemoteFile("mintaka_dev.json", url),))


def _exams() -> Origin:
    repository, commit = "mhardalov/exams-qa", "f859e665de6c370f6214ca5f36a34ace36ada6cb"
    archives = [
        RemoteFile(
            f"{split}.jsonl.tar.gz",
            _at_commit(repository, commit, f"data/exams/multilingual/{split}.jsonl.tar.gz"),
            unpack="tar",
        )
        for split in ("train", "dev", "test")
    ]
    parallel = "parallel_questions.jsonl"
    links = RemoteFile(parallel, _at_commit(repository, commit, f"data/exams/{parallel}"))
    return Origin(f"EXAMS {commit[:7]}", "CC BY-SA 4.0", (*archives, links))


def _tydi_qa() -> Origin:
    names = [f"tydiqa-goldp-v1.1-{split}.json" for split in ("train", "dev")]
    files = [RemoteFile(name, f"https://storage.googleapis.com/tydiqa/v1.1/{name}") for name in names]
    return Origin("TyDi QA GoldP v1.1", "Apache 2.0", tuple(files))


def _flores() -> Origin:
    # The sum is that of FLORES-200's own metadata (Croissant), and of several users' records.
    name, sha256 = "flores200_dataset.tar.gz", "b8b0b76783024b85797e5cc75064eb83fc5288b41e9654dabc7be6ae944011f6"
    archive = RemoteFile(name, f"{_META}/nllb/{name}", sha256=sha256, unpack="tar", strip=1)
    return Origin("FLORES-200", "CC BY-SA 4.0", (archive,))


def _belebele() -> Origin:
    # The sum is one that two users recorded independently.
    name, sha256 = "Belebele.zip", "c645e750e111404806751509b5aa3f808a01e6029cd225d37e966dc694aca9e4"
    archive = RemoteFile(name, f"{_META}/belebele/{name}", sha256=sha256, unpack="zip")
    return Origin("Belebele 1.0", "CC BY-SA 4.0", (archive,))


def _mlqa_r() -> Origin:
    # The sum is that of the hub's metadata of MLQA (huggingface/datasets f0c98e3, mlqa/dataset_infos.json).
    name, sha256 = "MLQA_V1.zip", "246e8089933d13007fe80684d5c5c0713d6834cf8b3b4a0ec7c66f0a0d2baac8"
    archive = RemoteFile(name, f"{_META}/MLQA/{name}", sha256=sha256, unpack="zip")
    return Origin("MLQA v1.0", "CC BY-SA 3.0", (archive,))


def _mtop() -> Origin:
    # The sum is one that a user recorded.
    name, sha256 = "mtop.zip", "0c086500aed2ed48d3df383c91664b152e4a46e2adef6a635fa16d508ebaec0b"
    archive = RemoteFile(name, f"{_META}/mtop/{name}", sha256=sha256, unpack="zip", strip=1)
    return Origin("MTOP", "CC BY-SA 4.0", (archive,))


def _multi30k() -> Origin:
    commit = "a3d2e0d26b56f3846f66a952536ffed4e401d05a"
    files = []
    for path in published_digests("multi30k"):
        task, _, name = path.partition("/")
        if name.startswith("image_splits/"):
            files.append(RemoteFile(path, _at_commit("multi30k/dataset", commit, f"data/{path}")))
        else:
            url = _at_commit("multi30k/dataset", commit, f"data/{task}/raw/{name}.gz")
            files.append(RemoteFile(f"{path}.gz", url, name.rpartition(".")[2]))
    return Origin(
        f"Multi30k {commit[:7]}",
        "none stated for the captions",
        tuple(files),
        terms="non-commercial research or educational use only (github.com/multi30k/dataset, README)",
    )


def _xflickrco() -> Origin:
    commit = "43cbac91513388d40b2c6d93925f00ca9fc08a98"
    files = [
        RemoteFile(
            f"{code}/test.jsonl",
            _at_commit("e-bug/iglue", commit, f"datasets/xFlickrCO/annotations/{code}/test.jsonl"),
            code,
        )
        for code in ("de", "en", "es", "id", "ja", "ru", "tr", "zh")
    ]
    return Origin(f"IGLUE {commit[:7]}", "MIT (repository); captions of Flickr30k and COCO images", tuple(files))


def _mkqa() -> Origin:
    # No commit of this repository is known here; the SHA-256 holds the content fast.
    name = "mkqa.jsonl.gz"
    url = f"{_RAW}/apple/ml-mkqa/main/dataset/{name}"
    return Origin("MKQA 1.0", "CC BY-SA 3.0", (RemoteFile(name, url, sha256=published_digests("mkqa")[name]),))


def _xm3600() -> Origin:
    url = "https://google.github.io/crossmodal-3600/web-data/captions.zip"
    return Origin("Crossmodal-3600", "CC BY 4.0", (RemoteFile("captions.zip", url, unpack="zip"),))


def _by_hand(version: str, licence: str, what_to_do: str) -> Callable[[], Origin]:
    return lambda: Origin(version, licence, by_hand=what_to_do)


ORIGINS: Mapping[str, Callable[[], Origin]] = {
    "afriqa": _by_hand(
        "AfriQA 5c29933",
        "CC BY 4.0",
        "put the files per split of github.com/masakhane-io/afriqa together, one JSON object a line, as "
        "queries.<language>.jsonl and gold_passages.<language>.jsonl",
    ),
    "belebele": _belebele,
    "exams": _exams,
    "flores": _flores,
    "mintaka": _mintaka,
    "miracl": _by_hand(
        "MIRACL v1.0",
        "Apache 2.0",
        "log in to the hub, accept its conditions, and fetch its data sets miracl/miracl and miracl/miracl-corpus",
    ),
    "mkqa": _mkqa,
    "mlqa_r": _mlqa_r,
    "mmarco": _by_hand(
        "mMARCO v2",
        "Apache 2.0 (translations); MS MARCO: non-commercial research only",
        "read and accept MS MARCO's terms (microsoft.github.io/msmarco), then fetch data/google of the hub's data set "
        "unicamp-dl/mmarco and MS MARCO's qrels.dev.small.tsv",
    ),
    "mtop": _mtop,
    "multi30k": _multi30k,
    "ntrex_128": _ntrex_128,
    "sib_200": _sib_200,
    "tatoeba": _tatoeba,
    "tico_19": _tico_19,
    "tydi_qa": _tydi_qa,
    "xflickrco": _xflickrco,
    "xm3600": _xm3600,
    "xquad_r": _xquad_r,
}
"""Data set -> its origin, made when asked for."""
