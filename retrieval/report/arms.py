"""What a report is about: arms, which are models or baselines compared on the same collections."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One model or baseline, and where its results are."""

    name: str
    """Stands in every table and figure; different for every arm of a report."""

    role: Literal["trained", "baseline"]

    mix: Mapping[str, str] | None = None
    """Kind of batch -> share as an exact number ("1/2"); None for what was not trained here."""

    evaluations: Mapping[str, Path]
    """Collection -> folder with `summary.json` and `per_query_bias.parquet`."""

    perturbed: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    """Collection -> perturbation of its queries -> folder with `robustness.parquet`."""

    throughput: Mapping[str, Path] = field(default_factory=dict)
    """Collection -> folder with `throughput.json`."""

    telemetry: Path | None = None
    """`telemetry.jsonl` of the training run."""

    ledger: Path | None = None
    """`ledger.json` of the training run: what it really drew."""

    facts: Mapping[str, str] = field(default_factory=dict)
    """What the caller wants said about this arm: seconds, fingerprint, steps; shown as given."""
