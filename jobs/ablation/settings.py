"""What a study sets besides its trials: who may stop them, who suggests more, and what is made of their figures."""

from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from cluster.config import Config, Share
from jobs.ablation.mixes import MixedKinds
from trainer.mixing.ratios import MAX_DENOMINATOR

RANK_DISTANCE = "rank_distance"
_SETTINGS = ("mono", "cross", "multi")


def _validation_measure(name: str) -> str:
    setting, dot, measure = name.partition(".")
    if name != RANK_DISTANCE and (setting not in (*_SETTINGS, "mean") or not dot or not measure):
        raise ValueError("must be a setting and a measure, such as multi.mAP or mean.nDCG@10, or rank_distance")
    return name


def _evaluation_measure(name: str) -> str:
    setting, dot, measure = name.partition(".")
    if setting not in (*_SETTINGS, "bias") or not dot or not measure:
        raise ValueError("must be a setting and a measure, such as multi.mAP, mono.nDCG@10 or bias.rank_distance")
    return name


ValidationMeasure = Annotated[str, AfterValidator(_validation_measure)]
"""Measured while training, on the validation data: `multi.mAP`, `mean.mAP`, `rank_distance`."""

EvaluationMeasure = Annotated[str, AfterValidator(_evaluation_measure)]
"""Measured at the end, on the evaluation data: `multi.mAP`, `bias.rank_distance`."""


def mode_of(measure: str) -> Literal["min", "max"]:
    """Whether less or more of a validation measure is better."""
    return "min" if measure == RANK_DISTANCE else "max"


class _Stopping(Config):
    measure: ValidationMeasure = "multi.mAP"
    """What trials are compared by, at each validation."""
    grace_steps: int = Field(ge=1)
    """No trial is stopped before so many steps."""


class AshaConfig(_Stopping):
    """Asynchronous successive halving (Li et al. 2020): at each rung only the best part of the trials goes on."""

    scheduler: Literal["asha"]
    reduction: float = Field(default=2, gt=1)
    """Rungs stand at grace_steps times its powers; at each, the best 1 / reduction of those that came so far go on."""


class MedianStoppingConfig(_Stopping):
    """Stops a trial whose best validation is below the median of the others' means (Golovin et al. 2017)."""

    scheduler: Literal["median_stopping"]
    least_trials: int = Field(default=3, ge=1)
    """As many trials must have come as far before any is stopped."""


class PopulationConfig(Config):
    """Population based training (Jaderberg et al. 2017) of the mix: the worst go on from the best, with another mix.

    The mixes of the study are the population, once for each seed. What comes of a member is a mix that changes over
    training, and a run with that mix gives the same encoder.
    """

    scheduler: Literal["population"]
    measure: ValidationMeasure = "multi.mAP"
    """What members are compared by."""
    interval: int = Field(ge=1)
    """Steps from one exchange to the next: a multiple of `training.validation.every` and of the shares' denominator."""
    quantile: float = Field(default=0.25, gt=0, le=0.5)
    """The worst so many take over from the best so many."""
    shift: Share = Field(default=Fraction(1, 10), gt=0, le=1)
    """How much of the mix moves from one kind to another at an exchange."""
    seed: int = Field(default=0, ge=0)
    """Of who takes over from whom, and of the moves."""


Scheduler = Annotated[AshaConfig | MedianStoppingConfig | PopulationConfig, Field(discriminator="scheduler")]


class SearchConfig(Config):
    """More mixes, suggested by Optuna from how those before them did; trained with the first seed."""

    suggestions: int = Field(ge=1)
    """How many mixes."""
    objectives: tuple[ValidationMeasure, ...] = Field(default=("multi.mAP",), min_length=1)
    """What is to be made best, on the validation data; with several, their Pareto front is looked for."""
    kinds: MixedKinds = ("mono", "cross", "multi")
    """Kinds of batches that are mixed."""
    denominator: int = Field(default=20, ge=1, le=MAX_DENOMINATOR)
    """Shares are multiples of 1 / denominator."""
    batch: int = Field(default=4, ge=1)
    """As many are suggested at a time. More keep more machines busy, fewer learn more from each other."""
    confirm: int = Field(default=3, ge=0)
    """The best so many suggestions are trained with the other seeds too."""
    seed: int = Field(default=0, ge=0)
    """Of the sampler."""

    @model_validator(mode="after")
    def _enough_mixes(self) -> Self:
        from math import comb

        there = comb(self.denominator + len(self.kinds) - 1, len(self.kinds) - 1)
        if self.suggestions > there:
            raise ValueError(f"denominator: there are {there} such mixes, fewer than {self.suggestions} suggestions")
        return self


class AnalysisConfig(Config):
    """What is made of the figures of the finished trials (docs/studies-analysis.md)."""

    measures: tuple[EvaluationMeasure, ...] = Field(
        default=("mono.mAP", "cross.mAP", "multi.mAP", "bias.rank_distance"), min_length=1
    )
    """Measures to analyse; all their comparisons are one family for Holm's correction."""
    objectives: tuple[EvaluationMeasure, ...] = ("mono.mAP", "cross.mAP", "multi.mAP", "bias.rank_distance")
    """Those of them that span the Pareto front."""
    costs: dict[Literal["train_seconds", "evaluate_seconds", "queries_per_second"], Literal["less", "more"]] = Field(
        default={}
    )
    """Costs that span it too, and whether less or more is better. They differ from machine to machine, and so does then
    the analysis."""
    resamples: int = Field(default=2000, ge=100)
    """Of queries."""
    seed: int = Field(default=0, ge=0)
    """Of the resamples."""

    @model_validator(mode="after")
    def _objectives_are_analysed(self) -> Self:
        other = next((name for name in self.objectives if name not in self.measures), None)
        if other is not None:
            raise ValueError(f"objectives: {other} is none of the measures {', '.join(self.measures)}; add it there")
        return self


def identity_of(scheduler: Any) -> dict[str, Any]:
    """What decides which trials a scheduler stops, for fingerprints."""
    return scheduler.model_dump(mode="json")
