"""A study's results as tables: the columns are named as in SageMaker's tuner analytics."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from byohpo_core.errors import one_line, shown
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial

Row: TypeAlias = Mapping[str, Any]
TIMES = ("TrainingStartTime", "TrainingEndTime")
_DETAILS = {"BillableTimeInSeconds": "billable_seconds", "Cost": "cost", "ModelArtifacts": "model_artifacts"}
_FORMULA = re.compile(r'^(?=[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])|(?<=[;\t\r\n])(?="*[=+\-@\uff1d\uff0b\uff0d\uff20])')
"""Where a spreadsheet sees a formula begin: in a cell or, as `;` and tabs may separate cells, behind one of these."""
_IN_CELLS = "\t\r\n"
"""Not printable, but usual in a quoted cell."""
_IN_TABLE = ("Trial", "TrainingJobStatus", "FinalObjectiveValue", "TrainingElapsedTimeSeconds", "Reason")


def rows(study: Study) -> list[Row]:
    """One row a trial, the best first; trials without a result last, by number. Times are ISO 8601, UTC.

    With a resource, trials that had more of it come first. With outcome constraints, the trials within them come first,
    and have no Violation. With several objectives the Pareto front comes first, in a column of that name.
    """
    details = [
        column for column, name in _DETAILS.items() if any(getattr(trial, name) is not None for trial in study.trials)
    ]
    front = {trial.number for trial in study.pareto_front} if len(study.problem.objectives) > 1 else set()
    names = dict.fromkeys(name for trial in study.trials for name in trial.hyperparameters)
    ranked = sorted(study.trials, key=lambda trial: (trial.number not in front, *_rank(study, trial)))
    return [_row(study, trial, details, names, on_front=trial.number in front) for trial in ranked]


def _rank(study: Study, trial: Trial) -> tuple[float, ...]:
    return (trial.losses is None, *(() if trial.losses is None else study.problem.rank(trial)), trial.number)


def _row(study: Study, trial: Trial, details: Sequence[str], names: Iterable[str], *, on_front: bool) -> Row:
    row: dict[str, Any] = {
        "Trial": trial.number,
        "TrainingJobName": trial.job_name,
        "TrainingJobStatus": str(trial.status),
        "FinalObjectiveValue": trial.value,
    }
    if len(study.problem.objectives) > 1:
        for index, objective in enumerate(study.problem.objectives):
            row[objective.metric] = None if trial.values is None else trial.values[index]
        row["ParetoFront"] = on_front
    if study.problem.outcome_constraints:
        row |= {it.metric: trial.metrics.get(it.metric) for it in study.problem.outcome_constraints}
        row["Violation"] = None if trial.losses is None else trial.violation
    row |= {
        "TrainingStartTime": _time(trial.started),
        "TrainingEndTime": _time(trial.ended),
        "TrainingElapsedTimeSeconds": trial.seconds,
        "Attempt": trial.attempt,
        "Plugin": trial.plugin,
        "Reason": trial.reason,
    }
    row |= {column: getattr(trial, _DETAILS[column]) for column in details}
    # A hyperparameter keeps its name, unless a column has it.
    named = {f"{name} (hyperparameter)" if name in row else name: trial.hyperparameters.get(name) for name in names}
    return row | named


def _time(seconds: float | None) -> str | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):  # no calendar has this time: somebody else wrote the journal
        return f"{seconds:g} s"


def as_csv(table: Sequence[Row], *, raw: bool = False) -> str:
    """Comma-separated values with a header line; None is an empty cell.

    Unless *raw*, what a spreadsheet would compute in a text has an apostrophe before it, and what a terminal would obey
    is escaped.
    """
    lines = [list(table[0]) if table else [], *(row.values() for row in table)]
    return "".join(",".join(_csv_cell(value, raw=raw) for value in line) + "\n" for line in lines)


def _csv_cell(value: Any, *, raw: bool) -> str:
    if value is None:
        return ""
    text = _text(value)
    if isinstance(value, str) and not raw:
        text = "".join(it if it in _IN_CELLS else shown(it) for it in _FORMULA.sub("'", text))
    if any(it in text for it in ',"\r\n'):  # `csv` leaves a carriage return, which ends a line, without quotes
        text = '"' + text.replace('"', '""') + '"'
    return text


def as_json(table: Sequence[Row]) -> str:
    """A JSON array of objects, in ASCII; NaN and infinity become null."""
    return json.dumps([_plain(row) for row in table], indent=2, allow_nan=False)


def _plain(value: Any) -> Any:
    """A copy in which None stands for each number that is not finite."""
    if isinstance(value, Mapping):
        return {name: _plain(it) for name, it in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(it) for it in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_table(table: Sequence[Row], *, raw: bool = False) -> str:
    """Aligned columns for people, one line a row: the outcome and the hyperparameters.

    Unless *raw*, what a terminal would obey is escaped.
    """
    if not table:
        return "no trials"
    first, *rest = table
    hidden = {*TIMES, *_DETAILS, "TrainingJobName", "Attempt", "Plugin"}
    columns = [
        column
        for column in first
        if column not in hidden and any(row[column] is not None for row in table) and column != "Reason"
    ]
    columns = [*(column for column in columns if column in _IN_TABLE), *(c for c in columns if c not in _IN_TABLE)]
    if any(row["Reason"] for row in table):
        columns.append("Reason")
    cells = [[_cell(row[column]) for column in columns] for row in (first, *rest)]
    lines = [[it if raw else shown(it) for it in line] for line in [list(map(one_line, columns)), *cells]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else one_line(_text(value))


def _text(value: Any) -> str:
    """A value as text: a secret's mark as JSON."""
    return json.dumps(value) if isinstance(value, Mapping) else str(value)
