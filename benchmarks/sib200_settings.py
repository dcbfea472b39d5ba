"""How long, and in how much memory, do all 205 languages of SIB-200 take at once from given vectors?

205 monolingual, 41,820 cross-lingual and 205 multilingual settings; 205,820 queries and as many passages, 128
dimensions, all measures, 42 million records written to Parquet, bootstrap intervals. The goal: 6 minutes on 2 cores and
less than 4 GiB. The vectors are random (noisy copies of one meaning per sentence) and made of small whole numbers, so
that every score is exact in float32 and a sample of queries can be checked against full sorting, ties included.

    python benchmarks/sib200_settings.py                                    full size
    python benchmarks/sib200_settings.py --languages 40 --sentences 250     a trial

Prints a table for people and, last, one JSON line for scripts.
"""

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from retrieval.evaluate import PER_QUERY, evaluate_vectors_to
from retrieval.ranks import num_threads
from retrieval.records import Collection

LANGUAGES, SENTENCES, DIMENSIONS = 205, 1004, 128
MAX_MINUTES, MAX_GIB = 6, 4


def sib_shaped(
    num_languages: int, num_sentences: int, dimensions: int, seed: int = 0
) -> tuple[Collection, np.ndarray, np.ndarray]:
    """A collection without texts in SIB-200's sizes, its query vectors and its passage vectors."""
    rng = np.random.default_rng(seed)
    number = num_languages * num_sentences
    language = np.repeat(np.arange(num_languages, dtype=np.int16), num_sentences)
    sentence = np.tile(np.arange(num_sentences), num_languages)
    relevant = np.arange(num_languages) * num_sentences + np.arange(num_sentences)[:, None]
    collection = Collection(
        name="sib-200 shaped",
        languages=tuple(f"l{number:03}" for number in range(num_languages)),
        query_ids=[f"s{number}" for number in sentence],
        query_texts=[""] * number,
        query_language=language,
        passage_ids=[f"p{row}" for row in range(number)],
        passage_texts=[""] * number,
        passage_language=language,
        judged_query=np.repeat(np.arange(number), num_languages),
        judged_passage=np.tile(relevant, (num_languages, 1)).reshape(-1),
        grade=np.ones(number * num_languages, np.int16),
    )
    meaning = rng.standard_normal((num_sentences, dimensions), np.float32)

    def vectors() -> np.ndarray:
        noise = rng.standard_normal((number, dimensions), np.float32)
        return np.rint(8 * (meaning[sentence] + 2 * noise))

    return collection, vectors(), vectors()


def check_by_sorting(
    collection: Collection, queries: np.ndarray, passages: np.ndarray, folder: Path, number: int
) -> float:
    """Largest difference in AP between the records of some queries and full sorting of all their pools."""
    rows = np.random.default_rng(1).choice(len(queries), number, replace=False)
    largest = 0.0
    for row in rows.tolist():
        language = collection.languages[collection.query_language[row]]
        wanted = [("query_id", "==", collection.query_ids[row]), ("query_language", "==", language)]
        found = pq.read_table(folder / PER_QUERY, columns=["pool_language", "mAP"], filters=wanted)
        records = dict(zip(found["pool_language"].to_pylist(), found["mAP"].to_pylist(), strict=True))
        order = np.argsort(-(passages @ queries[row]), kind="stable")
        relevant = np.zeros(len(passages), bool)
        relevant[collection.judged_passage[slice(*np.searchsorted(collection.judged_query, [row, row + 1]))]] = True
        for pool, ap in records.items():
            in_pool = order if pool == "*" else order[collection.passage_language[order] == int(pool[1:])]
            rank = np.flatnonzero(relevant[in_pool]) + 1
            largest = max(largest, abs(ap - float(np.mean(np.arange(1, len(rank) + 1) / rank))))
        assert len(records) == len(collection.languages) + 1
    return largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--languages", type=int, default=LANGUAGES)
    parser.add_argument("--sentences", type=int, default=SENTENCES)
    parser.add_argument("--dimensions", type=int, default=DIMENSIONS)
    parser.add_argument("--check", type=int, default=20, help="queries to check against full sorting")
    options = parser.parse_args()

    collection, queries, passages = sib_shaped(options.languages, options.sentences, options.dimensions)
    given_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start, cpu = time.perf_counter(), time.process_time()
        summary = evaluate_vectors_to(folder, collection, queries, passages)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
        peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # ru_maxrss is in KiB on Linux
        rows = pq.ParquetFile(folder / PER_QUERY).metadata.num_rows
        file_mib = (folder / PER_QUERY).stat().st_size / 2**20
        difference = check_by_sorting(collection, queries, passages, folder, options.check)

    print(f"{len(queries):>12,} queries and passages, {len(summary['pairs']):,} settings, {rows:,} records")
    print(f"{seconds:12.1f} s   ({cpu_seconds:.1f} s of CPU; goal at full size: {MAX_MINUTES * 60} s)")
    print(f"{peak_gib:12.2f} GiB at most ({given_gib:.2f} with the collection and vectors; goal: below {MAX_GIB})")
    print(f"{file_mib:12.0f} MiB of records")
    print(f"{difference:12.1e} largest difference in AP from full sorting, {options.check} queries, all their pools")
    print(
        json.dumps(
            {
                "question": "seconds and memory for all settings of SIB-200 from given vectors",
                "languages": options.languages,
                "sentences": options.sentences,
                "dimensions": options.dimensions,
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "peak_gib": peak_gib,
                "given_gib": given_gib,
                "records": rows,
                "largest_difference": difference,
                "machine": f"{platform.machine()}, {num_threads()} threads of {os.cpu_count()}, numpy {np.__version__}",
            }
        )
    )


if __name__ == "__main__":
    main()
