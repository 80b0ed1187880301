"""Read a study from a TOML file, for `byohpo tune`. Its help shows such a file."""

import inspect
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from byohpo_core.backends.estimators import estimator_class
from byohpo_core.errors import InvalidInput
from byohpo_core.space.constraints import Constraint
from byohpo_core.space.parameters import CategoricalParameter, ContinuousParameter, IntegerParameter, StaticParameter
from byohpo_core.study.problem import OutcomeConstraint
from byohpo_core.tuner.tuner import Tuner
from byohpo_core.validate import checked_arguments, choice, items, nearest, text

_NEEDED = ("objective_metric_name",)
_OTHERWISE = ("estimator", "hyperparameter_ranges", "constraints", "extensions", "progress")
"""Arguments of `Tuner` that have a table of their own here or belong to the command."""
_OPTIONAL = [name for name in inspect.signature(Tuner).parameters if name not in (*_NEEDED, *_OTHERWISE)]
_OURS = ("job_name", "inputs", "estimator", "script", "function", "hyperparameter_ranges", "constraints", "extensions")
_SHORT_FORMS = {"script": "local", "function": "function"}
"""Tables with a kind of their own."""
_RANGE = ("min_value", "max_value", "scaling_type", "when")
_MAY_MISS = ("scaling_type", "when")
_PARAMETERS: Mapping[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "continuous": (ContinuousParameter, _RANGE),
    "integer": (IntegerParameter, _RANGE),
    "categorical": (CategoricalParameter, ("values", "when")),
    "static": (StaticParameter, ("value",)),
}


@attrs.define
class Description:
    """The content of a file."""

    settings: dict[str, Any]
    """Keyword arguments of `Tuner`."""
    inputs: Mapping[str, str] | None
    job_name: str | None

    def tuner(self, *, progress: bool) -> Tuner:
        return Tuner(**self.settings, progress=progress)


def read(file: Path) -> Description:
    """Read the study that a file describes. Raises `InvalidInput` for unknown keys and wrong values."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{file} is no TOML: {error}") from error
    _only_known(file, "", content, (*_NEEDED, *_OPTIONAL, *_OURS))
    for name in (*_NEEDED, "hyperparameter_ranges"):
        if name not in content:
            raise InvalidInput(f"{file}: {name} is missing")
    settings = {name: content[name] for name in (*_NEEDED, *_OPTIONAL) if name in content}
    if isinstance(content.get("secrets"), Mapping):
        raise InvalidInput(f'{file}: secrets has values; it takes only names, such as secrets = ["HF_TOKEN"]')
    settings["estimator"] = _estimator(file, content)
    settings["hyperparameter_ranges"] = {
        name: _parameter(file, name, body) for name, body in _table(file, content, "hyperparameter_ranges").items()
    }
    settings["constraints"] = [_constraint(file, body) for body in items("constraints", content.get("constraints", []))]
    settings["extensions"] = [_extension(file, body) for body in items("extensions", content.get("extensions", []))]
    inputs = _table(file, content, "inputs")
    return Description(
        settings,
        {name: _beside(file, f"inputs.{name}", place) for name, place in inputs.items()} or None,
        content.get("job_name"),
    )


def _estimator(file: Path, content: Mapping[str, Any]) -> Any:
    """The estimator of the table [estimator], or of [script] or [function]."""
    tables = [name for name in ("estimator", *_SHORT_FORMS) if name in content]
    if len(tables) != 1:
        given = f", not {' and '.join(f'[{name}]' for name in tables)}" if tables else ""
        raise InvalidInput(f"{file}: one of the tables [estimator], [script] and [function] is needed{given}")
    (name,) = tables
    table = dict(_table(file, content, name))
    kind = _SHORT_FORMS.get(name) or table.pop("kind", None)
    if kind is None:
        raise InvalidInput(f'{file}: [estimator] kind is missing: name an installed backend, such as kind = "local"')
    try:
        return estimator_class(text("kind", kind)).from_table(table, file.absolute().parent)
    except InvalidInput as error:
        raise type(error)(f"{file}: [{name}] {error}") from error


def _parameter(file: Path, name: str, body: Any) -> Any:
    where = f"hyperparameter_ranges.{name}"
    if not isinstance(body, Mapping) or "type" not in body:
        raise InvalidInput(f"{file}: {where} needs a type: {', '.join(_PARAMETERS)}")
    parameter, known = _PARAMETERS[choice(f"{file}: {where}.type", body["type"], list(_PARAMETERS))]
    arguments = {key: value for key, value in body.items() if key != "type"}
    _only_known(file, f"{where}.", arguments, known)
    for needed in known:
        if needed not in arguments and needed not in _MAY_MISS:
            raise InvalidInput(f"{file}: {where}.{needed} is missing")
    try:
        return parameter(**arguments)
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {where}: {error}") from error


def _constraint(file: Path, body: Any) -> Any:
    """A constraint on hyperparameters, or one on a metric."""
    if not isinstance(body, Mapping):
        raise InvalidInput(f"{file}: constraints has {body!r}, not a table: write [[constraints]]")
    kind = OutcomeConstraint if "metric" in body else Constraint
    try:
        return kind(**checked_arguments(kind, body))
    except InvalidInput as error:
        raise InvalidInput(f"{file}: constraints: {error}") from error


def _extension(file: Path, body: Any) -> tuple[str, dict[str, Any]]:
    if not isinstance(body, Mapping) or "name" not in body:
        raise InvalidInput(f"{file}: each of extensions needs a name")
    return body["name"], {key: value for key, value in body.items() if key != "name"}


def _table(file: Path, content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, Mapping):
        raise InvalidInput(f"{file}: {name} is {table!r}, not a table")
    return table


def _only_known(file: Path, prefix: str, body: Mapping[str, Any], known: Iterable[str]) -> None:
    known = list(known)
    for key in body:
        if key not in known:
            raise InvalidInput(f"{file}: unknown key {prefix}{key}{nearest(key, known, 'known')}")


def _beside(file: Path, name: str, place: Any) -> str:
    place = text(f"{file}: {name}", place)
    return place if "://" in place else str(file.absolute().parent / place)
