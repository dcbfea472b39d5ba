"""Records of one tile after the other in, sums for macro means and their intervals out; no record is kept.

Shape letters: N records, Q queries, L languages, S strata, I query ids, G groups of strata with the same ids.

A stratum is a (query language, pool): number query_language * (L + 1) + pool + 1; the pool of all languages is -1.
205 languages have 42,230 strata and 43 million records, but sums only per stratum and per (query id, group).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from retrieval.measures.statistics import id_marks, percentile_intervals, resampled_means
from retrieval.per_query import ALL_LANGUAGES, CROSS, MONO, MULTI, Records
from retrieval.records import Collection

JUDGEMENTS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class SettingMeans:
    """Means of one setting, by stratum."""

    query_language: np.ndarray
    """(S) of the strata that have queries, rising by query language and pool."""
    pool: np.ndarray
    """(S) language of the pool, or ALL_LANGUAGES."""
    num_queries: np.ndarray
    """(S)"""
    mean_of: Mapping[str, np.ndarray]
    """Measure -> (S) mean over the queries of each stratum."""


class MacroSums:
    """What macro means and bootstrap intervals of all settings need of the records, in memory that records don't grow.

    Sums are taken in the order of the rows, so they do not depend, to the last bit, on how rows came in tiles.
    """

    def __init__(self, collection: Collection) -> None:
        self._query_language = collection.query_language.astype(np.int64)
        self._pools = len(collection.languages) + 1
        self._id_Q = np.unique(np.asarray(collection.query_ids), return_inverse=True)[1]
        self._num_ids = int(self._id_Q.max()) + 1
        self._group_S = self._groups(collection)
        self._num_groups = int(self._group_S.max()) + 1
        self._count_S = np.zeros(len(self._group_S), np.int64)
        self._count_C = np.zeros(self._num_ids * self._num_groups, np.int64)
        self._total_S: dict[str, np.ndarray] = {}
        self._total_C: dict[str, np.ndarray] = {}

    def add(self, records: Records) -> None:
        """Add the records of a tile."""
        stratum = self._query_language[records.query] * self._pools + records.pool + 1
        cell = self._id_Q[records.query] * self._num_groups + self._group_S[stratum]
        np.add.at(self._count_S, stratum, 1)
        np.add.at(self._count_C, cell, 1)
        for name, value in records.value_of.items():
            np.add.at(self._total_S.setdefault(name, np.zeros(len(self._count_S))), stratum, value)
            np.add.at(self._total_C.setdefault(name, np.zeros(len(self._count_C))), cell, value)

    def means(self, setting: str) -> SettingMeans:
        """Means by stratum of a setting; without strata where the collection has no such setting."""
        strata = self._strata(setting)
        query_language, pool = np.divmod(strata, self._pools)
        number = self._count_S[strata]
        means = {name: total[strata] / number for name, total in self._total_S.items()}
        return SettingMeans(query_language, pool - 1, number, means)

    def intervals(self, setting: str, resamples: int) -> dict[str, tuple[float, float]]:
        """95 % bootstrap interval of the macro mean of every measure; query ids are resampled."""
        groups, strata_G = np.unique(self._group_S[self._strata(setting)], return_counts=True)
        shape = (self._num_ids, self._num_groups)
        count_IG = self._count_C.reshape(shape)[:, groups]
        ids = np.flatnonzero(count_IG.sum(axis=1))
        totals = (total.reshape(shape)[:, groups][ids] for total in self._total_C.values())
        intervals = percentile_intervals(resampled_means(count_IG[ids], totals, strata_G, resamples, seed=0))
        return {name: (float(low), float(high)) for name, (low, high) in zip(self._total_C, intervals, strict=True)}

    def _strata(self, setting: str) -> np.ndarray:
        strata = np.flatnonzero(self._count_S)
        return strata[self._setting_of(strata) == setting]

    def _setting_of(self, strata: np.ndarray) -> np.ndarray:
        query_language, pool = np.divmod(strata, self._pools)
        return np.where(pool - 1 == ALL_LANGUAGES, MULTI, np.where(pool - 1 == query_language, MONO, CROSS))

    def _groups(self, collection: Collection) -> np.ndarray:
        """Number of the group of each stratum, (S); strata of a group belong to one setting and hold the same ids.

        Which ids a stratum has follows from the judgements: a query is in a pool that holds a relevant passage.
        """
        marks = id_marks(self._num_ids)[:, self._id_Q]
        sums = np.zeros((2, (self._pools - 1) * self._pools))
        for first in range(0, len(collection.judged_query), JUDGEMENTS_AT_ONCE):
            part = slice(max(first - 1, 0), first + JUDGEMENTS_AT_ONCE)  # one before, to compare the first with
            query = collection.judged_query[part]
            language = collection.passage_language[collection.judged_passage[part]].astype(np.int64)
            new_query = np.diff(query, prepend=-1) != 0
            new_pool = new_query | (np.diff(language, prepend=-1) != 0)
            if first:
                new_query[0] = new_pool[0] = False
            for new, pool in ((new_query, np.full(len(query), ALL_LANGUAGES)), (new_pool, language)):
                stratum = self._query_language[query[new]] * self._pools + pool[new] + 1
                for total_S, mark_Q in zip(sums, marks, strict=True):
                    total_S += np.bincount(stratum, mark_Q[query[new]], minlength=len(total_S))
        setting_S = np.unique(self._setting_of(np.arange(sums.shape[1])), return_inverse=True)[1]
        return np.unique(np.vstack([setting_S, sums]), axis=1, return_inverse=True)[1].reshape(-1)
