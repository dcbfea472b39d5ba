"""Files of the arms -> checked results. A file that cannot be used is one line that names it and the way out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from cluster.config import describe
from cluster.documents import parse_json
from cluster.errors import DataError
from retrieval.report.arms import Arm
from retrieval.report.results import (
    ArmResults,
    Drop,
    Ledger,
    StepEvent,
    Summary,
    Telemetry,
    Throughput,
    ValidationEvent,
)
from retrieval.report.text import isolated

SUMMARY = "summary.json"
PER_QUERY_BIAS = "per_query_bias.parquet"


def read_arms(arms: Sequence[Arm]) -> list[ArmResults]:
    """Read every arm, trained arms first, and check that they can be compared.

    Raises:
        DataError: a file is missing or unusable, two arms share a name, or the arms saw different collections.
    """
    names = [arm.name for arm in arms]
    if not names:
        raise DataError("the report was given no arms; give at least one evaluated model or baseline")
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"two arms are called '{name}'; give each its own name")
    in_order = sorted(arms, key=lambda arm: arm.role != "trained")
    results = [read_arm(arm) for arm in in_order]
    for collection in collections_of(results):
        _check_alike(collection, results)
    return results


def collections_of(results: Sequence[ArmResults]) -> list[str]:
    """Collections in the order in which the arms name them."""
    return list(dict.fromkeys(name for result in results for name in result.summaries))


def read_arm(arm: Arm) -> ArmResults:
    """Read the files of one arm. A missing telemetry or ledger file is a gap to be told, not an error."""
    gaps: list[str] = []
    return ArmResults(
        arm=arm,
        summaries={name: read_summary(folder) for name, folder in arm.evaluations.items()},
        bias_by_language={name: _read_bias_by_language(folder) for name, folder in arm.evaluations.items()},
        drops={
            name: {perturbation: _read_drops(folder) for perturbation, folder in by_perturbation.items()}
            for name, by_perturbation in arm.perturbed.items()
        },
        throughput={name: _read_throughput(folder) for name, folder in arm.throughput.items()},
        telemetry=_read_if_there(read_telemetry, arm, "telemetry", arm.telemetry, gaps),
        ledger=_read_if_there(read_ledger, arm, "ledger", arm.ledger, gaps),
        gaps=tuple(gaps),
    )


Found = TypeVar("Found")


def _read_if_there(
    read: Callable[[Path], Found], arm: Arm, what: str, path: Path | None, gaps: list[str]
) -> Found | None:
    if path is not None and path.is_file():
        return read(path)
    if path is not None:
        gaps.append(f"{isolated(arm.name)}: the {what} ({path.name}) is missing")
    elif arm.role == "trained":
        gaps.append(f"{isolated(arm.name)}: no {what} was recorded")
    return None


def read_summary(folder: Path) -> Summary:
    """Read `summary.json` of an evaluation folder."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; evaluate first, or name the folder that evaluate wrote")
    path = folder / SUMMARY
    if not path.is_file():
        raise DataError(f"{folder}: holds no {SUMMARY}, so it is no evaluation; name the folder that evaluate wrote")
    return _parsed(Summary, _json(path.read_bytes(), str(path)), str(path))


def read_ledger(path: Path) -> Ledger:
    """Read a ledger summary."""
    return _parsed(Ledger, _json(path.read_bytes(), str(path)), str(path))


def read_telemetry(path: Path) -> Telemetry:
    """Read `telemetry.jsonl`.

    A run that was resumed repeats steps: what was written last counts. A last line that was cut short by a killed
    process is passed over; any other bad line is an error.
    """
    steps: dict[int, StepEvent] = {}
    validations: dict[int, ValidationEvent] = {}
    lines = path.read_bytes().split(b"\n")
    cut_short = lines.pop()
    for number, line in enumerate([*lines, *([cut_short] if _is_json(cut_short) else [])], start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        fields = _json(line, where)
        event = fields.get("event") if isinstance(fields, dict) else None
        if event == "step":
            step = _parsed(StepEvent, fields, where)
            steps[step.step] = step
        elif event == "validation":
            validation = _parsed(ValidationEvent, fields, where)
            validations[validation.step] = validation
    return Telemetry(
        steps=[steps[step] for step in sorted(steps)], validations=[validations[step] for step in sorted(validations)]
    )


def _read_drops(folder: Path) -> list[Drop]:
    from retrieval.robustness import DROPS, read_drops

    return [_parsed(Drop, row, str(folder / DROPS)) for row in read_drops(folder).to_pylist()]


def _read_throughput(folder: Path) -> Throughput:
    from retrieval.throughput import THROUGHPUT, read_throughput

    figures: Throughput = _parsed(Throughput, read_throughput(folder), str(folder / THROUGHPUT))
    return figures


def _is_json(line: bytes) -> bool:
    try:
        parse_json(line)
    except ValueError:
        return False
    return True


def _json(content: bytes, where: str) -> Any:
    try:
        return parse_json(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}); run the step that wrote it again") from None


def _parsed(model: type[Any], fields: Any, where: str) -> Any:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise DataError(f"{where}: {describe(error, model)}; run the step that wrote it again") from None


def _read_bias_by_language(folder: Path) -> dict[str, dict[str, float]]:
    """Mean of each bias measure over the queries of a language; empty where the file is not there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from retrieval.formats.parquet import read_table

    path = folder / PER_QUERY_BIAS
    if not path.is_file():
        return {}
    try:
        table = read_table(path, "evaluate again")
        measures = [field.name for field in table.schema if pa.types.is_floating(field.type)]
        for name in measures:
            # NaN: the measure says nothing about the query, which then counts in no mean.
            value = pc.if_else(pc.is_nan(table[name]), None, table[name])
            table = table.set_column(table.schema.get_field_index(name), name, value)
        means = table.group_by("query_language").aggregate([(name, "mean") for name in measures])
    except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
        problem = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: not a table of per-query bias ({problem}); evaluate again") from None
    return {
        row["query_language"]: {name: row[f"{name}_mean"] for name in measures if row[f"{name}_mean"] is not None}
        for row in means.to_pylist()
    }


def _check_alike(collection: str, results: Sequence[ArmResults]) -> None:
    """Arms can be compared on a collection only when they searched the same one."""
    seen = [(result.name, result.summaries[collection]) for result in results if collection in result.summaries]
    first_name, first = seen[0]
    for name, summary in seen[1:]:
        for field in ("num_queries", "num_passages", "languages"):
            ours, theirs = getattr(summary, field), getattr(first, field)
            if ours != theirs:
                raise DataError(
                    f"{collection}: {field} is {ours} for arm '{name}' but {theirs} for '{first_name}'; "
                    "evaluate all arms on the same collection"
                )
