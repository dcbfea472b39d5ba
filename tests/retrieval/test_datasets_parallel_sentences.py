"""sib_200, flores, ntrex_128, tatoeba and tico_19 on hand-written files, in the packed and the published form."""

import gzip
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import ConfigError, DataError
from retrieval.datasets import content_fingerprints, parse_dataset, read_collection, read_groups, require_inputs

SENTENCES = {
    "eng": ["Good morning.", 'She said "no".', "It is late."],
    "deu": ["Guten Morgen.", "Sie sagte „nein“.", "Es ist spät."],
    "fra": ["Bonjour.", "Elle a dit « non ».", "Il est tard."],
}
FLORES_CODES = {"eng": "eng_Latn", "deu": "deu_Latn", "fra": "fra_Latn"}
SPLITS = ["train", "dev", "test"]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_packed(path: Path, records: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def sib_200_packed(folder: Path) -> None:
    for code, texts in SENTENCES.items():
        records = [{"index_id": number, "text": text} for number, text in enumerate(texts)]
        write_packed(folder / f"{FLORES_CODES[code]}.jsonl.gz", records)
    meta = [{"index_id": number, "split": split, "category": "travel"} for number, split in enumerate(SPLITS)]
    write_packed(folder / "meta.jsonl.gz", meta)


def sib_200_published(folder: Path) -> None:
    for code, texts in SENTENCES.items():
        for number, (split, text) in enumerate(zip(SPLITS, texts, strict=True)):
            quoted = '"' + text.replace('"', '""') + '"' if '"' in text else text
            row = f"index_id\tcategory\ttext\n{number}\ttravel\t{quoted}\n"
            write(folder / FLORES_CODES[code] / f"{split}.tsv", row)


def flores_published(folder: Path) -> None:
    for code, texts in SENTENCES.items():
        write(folder / "devtest" / f"{FLORES_CODES[code]}.devtest", "\n".join(texts) + "\n")


def ntrex_128_packed(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for code, texts in SENTENCES.items():
        (folder / f"{code}.txt.gz").write_bytes(gzip.compress("\n".join(texts).encode()))


def ntrex_128_published(folder: Path) -> None:
    for code, texts in SENTENCES.items():
        write(folder / f"newstest2019-{'src' if code == 'eng' else 'ref'}.{code}.txt", "\r\n".join(texts))
    write(folder / "newstest2019-ref-2.fra.txt", "a second translation\n")


def tatoeba_packed(folder: Path) -> None:
    records = [
        {"lang": code, "n": number, "text": text, "eng": english}
        for code in ("deu", "fra")
        for number, (text, english) in enumerate(zip(SENTENCES[code], SENTENCES["eng"], strict=True))
    ]
    write_packed(folder / "tatoeba.jsonl.gz", records)


def tatoeba_published(folder: Path) -> None:
    for code in ("deu", "fra"):
        write(folder / f"tatoeba.{code}-eng.{code}", "\n".join(SENTENCES[code]) + "\n")
        write(folder / f"tatoeba.{code}-eng.eng", "\n".join(SENTENCES["eng"]) + "\n")


def tico_19_packed(folder: Path) -> None:
    for code, name in (("eng", "en"), ("deu", "es-LA"), ("fra", "ti_ER")):
        write_packed(
            folder / f"{name}.jsonl.gz", [{"n": number, "text": text} for number, text in enumerate(SENTENCES[code])]
        )


def tico_19_published(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for code, name in (("deu", "es-LA"), ("fra", "ti_ER")):
        units = "".join(
            f'<tu><tuv xml:lang="en"><seg>{english}</seg></tuv><tuv xml:lang="{name}"><seg>{text}</seg></tuv></tu>'
            for english, text in zip(SENTENCES["eng"], SENTENCES[code], strict=True)
        )
        with zipfile.ZipFile(folder / f"all.en-{name}.tmx.zip", "w") as archive:
            archive.writestr(f"all.en-{name}.tmx", f'<tmx version="1.4"><body>{units}</body></tmx>')
            archive.writestr(f"__MACOSX/._all.en-{name}.tmx", "not a TMX file")


WRITERS = {
    "sib_200": (sib_200_packed, sib_200_published),
    "flores": (flores_published,),
    "ntrex_128": (ntrex_128_packed, ntrex_128_published),
    "tatoeba": (tatoeba_packed, tatoeba_published),
    "tico_19": (tico_19_packed, tico_19_published),
}
FIRST_GROUP = {
    "sib_200": ("sib_200/flores-0000", ["de", "en", "fr"]),
    "flores": ("flores/flores-devtest-0001", ["de", "en", "fr"]),
    "ntrex_128": ("ntrex_128/newstest2019-0001", ["de", "en", "fr"]),
    "tatoeba": ("tatoeba/deu-0000", ["de", "en"]),
    "tico_19": ("tico_19/tico-bc1c3f4b2a6a1d6e", ["en", "es-419", "ti-ER"]),
}
EXCERPTS = [(name, form) for name, forms in WRITERS.items() for form in range(len(forms))]


@pytest.fixture(params=EXCERPTS, ids=lambda case: f"{case[0]}-{case[1]}")
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A data set's name and a folder with a small excerpt of it."""
    name, form = request.param
    WRITERS[name][form](tmp_path / "data")
    return name, tmp_path / "data"


def groups_of(name: str, path: Path, **fields: Any) -> list[Any]:
    return list(read_groups(parse_dataset({"dataset": name, "path": path, "excerpt": True, **fields})))


def test_groups_are_translations_with_canonical_codes(case: tuple[str, Path]) -> None:
    name, path = case
    groups = groups_of(name, path)
    id, languages = FIRST_GROUP[name]
    assert (groups[0].id.partition("-")[0], sorted(groups[0].pairs)) == (id.partition("-")[0], languages)
    assert {len(group.pairs) for group in groups} == {len(languages)}
    assert len({group.id for group in groups}) == len(groups) == (6 if name == "tatoeba" else 3)
    assert {pair.query for pair in groups[1].pairs.values()} <= {texts[1] for texts in SENTENCES.values()}
    assert groups[1].pairs["en"].query == groups[1].pairs["en"].passage == 'She said "no".'


def test_every_form_of_the_files_gives_the_same_groups(tmp_path: Path) -> None:
    for name, forms in WRITERS.items():
        read = []
        for number, writer in enumerate(forms):
            writer(tmp_path / f"{name}-{number}")
            read.append({group.id: dict(group.pairs) for group in groups_of(name, tmp_path / f"{name}-{number}")})
        assert all(groups == read[0] for groups in read), name


def test_languages_are_chosen_by_any_code_and_missing_ones_are_named(case: tuple[str, Path]) -> None:
    name, path = case
    wanted, missing = (["en", "es-LA"], "fr") if name == "tico_19" else (["eng_Latn", "de"], "sw")
    chosen = groups_of(name, path, languages=wanted)
    assert {len(group.pairs) for group in chosen} == {2}
    assert len(chosen) == 3
    with pytest.raises(DataError, match=f"data: has no language '{missing}'; it has "):
        groups_of(name, path, languages=[missing])
    with pytest.raises(ConfigError, match="'klingon' is not a language code"):
        groups_of(name, path, languages=["klingon"])


def test_the_evaluation_searches_translations(case: tuple[str, Path]) -> None:
    name, path = case
    collection = read_collection(parse_dataset({"dataset": name, "path": path, "excerpt": True}))
    row = list(collection.query_texts).index("Il est tard.")
    found = {collection.passage_texts[p] for p in collection.judged_passage[collection.judged_query == row]}
    assert found == ({"It is late."} if name == "tatoeba" else {"It is late.", "Es ist spät."})


def test_a_part_of_the_data_set_is_refused_with_both_counts(case: tuple[str, Path]) -> None:
    name, path = case
    with pytest.raises(DataError, match="cut short, or another release") as refusal:
        list(read_groups(parse_dataset({"dataset": name, "path": path})))
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_files_read_are_named_before_they_are_read(case: tuple[str, Path]) -> None:
    name, path = case
    config = parse_dataset({"dataset": name, "path": path, "excerpt": True})
    require_inputs(config)
    assert content_fingerprints(config)


def test_a_file_cut_short_is_refused_by_name(case: tuple[str, Path]) -> None:
    name, path = case
    victim = next(p for p in sorted(path.rglob("*")) if p.is_file() and "meta" not in p.name and p.stat().st_size > 20)
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    complete = {"sib_200", "flores", "ntrex_128"} & {name}
    plain = victim.suffix not in {".gz", ".zip"}
    with pytest.raises(DataError, match=re.escape(victim.name if not plain or name == "tatoeba" else "data")):
        groups_of(name, path, excerpt=not (plain and complete))


def test_folders_without_the_data_set_are_refused(tmp_path: Path) -> None:
    (tmp_path / "devtest").mkdir()
    for name in WRITERS:
        with pytest.raises(DataError, match=r"holds none of \S+'s files, such as "):
            groups_of(name, tmp_path)
        with pytest.raises(DataError, match="no such folder"):
            groups_of(name, tmp_path / "gone")


def test_sib_200_has_splits(tmp_path: Path) -> None:
    for writer in WRITERS["sib_200"]:
        writer(tmp_path / writer.__name__)
        for number, split in enumerate(SPLITS):
            (group,) = groups_of("sib_200", tmp_path / writer.__name__, split=split)
            assert group.id == f"sib_200/flores-{number:04d}"


def test_tatoeba_and_tico_19_refuse_sides_that_do_not_fit(tmp_path: Path) -> None:
    tatoeba_published(tmp_path / "tatoeba")
    write(tmp_path / "tatoeba" / "tatoeba.deu-eng.eng", "Good morning.\n")
    with pytest.raises(DataError, match="deu-eng.deu: holds 3 sentences, its English side 1"):
        groups_of("tatoeba", tmp_path / "tatoeba")
    tatoeba_packed(tmp_path / "packed")
    write_packed(tmp_path / "packed" / "tatoeba.jsonl.gz", [{"lang": "deu", "n": 1, "text": "a", "eng": "b"}])
    with pytest.raises(DataError, match="line 1: 'n' is 1, expected 0: pairs are missing before it"):
        groups_of("tatoeba", tmp_path / "packed")
    tatoeba_packed(tmp_path / "packed")
    tico_19_packed(tmp_path / "tico")
    write_packed(tmp_path / "tico" / "ti_ER.jsonl.gz", [{"n": 9, "text": "?"}])
    with pytest.raises(DataError, match="ti_ER.jsonl.gz: sentence 9 is not among the English ones"):
        groups_of("tico_19", tmp_path / "tico")
    for name in ("tatoeba", "tico_19"):
        with pytest.raises(DataError, match="languages names English only"):
            groups_of(name, tmp_path / ("packed" if name == "tatoeba" else "tico"), languages=["en"])


def test_tico_19_keeps_the_first_translation_of_a_repeated_sentence(tmp_path: Path) -> None:
    tico_19_published(tmp_path)
    path = tmp_path / "all.en-es-LA.tmx.zip"
    unit = '<tu><tuv xml:lang="en"><seg>Twice.</seg></tuv><tuv xml:lang="es"><seg>{}</seg></tuv></tu>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.tmx", f"<tmx><body>{unit.format('Primera.')}{unit.format('Segunda.')}</body></tmx>")
    groups = groups_of("tico_19", tmp_path, languages=["en", "es-LA"])
    assert [group.pairs["es-419"].query for group in groups] == ["Primera."]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.tmx", "<tmx><body><tu><tuv xml:lang='en'><seg>A</seg></tuv></tu></body></tmx>")
    with pytest.raises(DataError, match=r"tmx.zip: unit 1: expected English and one more language, found \['en'\]"):
        groups_of("tico_19", tmp_path)
