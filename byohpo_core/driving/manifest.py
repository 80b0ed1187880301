"""The settings of a study: everything that another process needs to resume it."""

from collections.abc import Mapping
from typing import Any

import attrs

from byohpo_core.backendspecs import JobSettings
from byohpo_core.driving.policy import Policy
from byohpo_core.errors import MALFORMED, InvalidInput, JournalError, unreadable
from byohpo_core.journal.log import EventLog
from byohpo_core.plugins.finding import ALGORITHMS, PluginSpec
from byohpo_core.study import events
from byohpo_core.study.events import Happening
from byohpo_core.study.problem import Problem
from byohpo_core.validate import items, mapping, text, whole

FORMAT = 1
_DEPTH = 100
"""More nested than this, a manifest would be too deep for Python to walk through."""


@attrs.frozen
class Manifest:
    """A study's settings. They are fixed when it is created; only an epoch changes some of them."""

    problem: Problem
    plugins: tuple[PluginSpec, ...]
    backend: Mapping[str, Any]
    """The `describe()` of its estimator."""
    settings: JobSettings
    policy: Policy
    warm_start_from: tuple[str, ...] = ()
    """Ids of the studies in the same journal whose results this one starts from."""
    chosen_for: str | None = None
    """Why this algorithm was chosen for the user; None if the user has named it."""

    @classmethod
    def of(cls, log: EventLog) -> "Manifest":
        """The manifest of a study as of its newest epoch."""
        return cls.from_json(log.manifest(), f"the manifest of study {log.id!r}")

    @property
    def algorithm(self) -> PluginSpec:
        """The plugin that the user chose as the strategy."""
        return next(spec for spec in self.plugins if spec.group == ALGORITHMS)

    @property
    def chosen(self) -> str | None:
        """What to tell the user of an algorithm that was chosen for them; None if the user has named it."""
        return None if self.chosen_for is None else f"auto chose {self.algorithm.name}: {self.chosen_for}"

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            **self.epoch()[1],
            "backend": dict(self.backend),
            "settings": self.settings.to_json(),
            "policy": attrs.asdict(self.policy),
            "warm_start_from": list(self.warm_start_from),
            **({} if self.chosen_for is None else {"chosen_for": self.chosen_for}),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any], what: str = "the study's manifest") -> "Manifest":
        """Restore a manifest; *what* names it in the `JournalError` that one of another form raises."""
        try:
            if whole("format", body["format"], at_least=0) > FORMAT:
                raise JournalError(f"{what} is from a newer byohpo: pip install --upgrade byohpo-core")
            _check_depth(body)
            return cls(
                Problem.from_json(body["problem"]),
                _plugins(body["plugins"]),
                _backend(body["backend"]),
                JobSettings.from_json(body["settings"]),
                _policy(body["policy"]),
                tuple(text("warm_start_from", it) for it in items("warm_start_from", body.get("warm_start_from", ()))),
                None if body.get("chosen_for") is None else text("chosen_for", body["chosen_for"]),
            )
        except MALFORMED as error:
            raise unreadable(what, error) from error

    def epoch(self) -> Happening:
        """An epoch event with the parts that may change during a study's life."""
        return events.epoch(self.problem.to_json(), [spec.to_json() for spec in self.plugins])


def _check_depth(body: Mapping[str, Any]) -> None:
    level: list[Any] = [body]
    for _ in range(_DEPTH):
        inside = (it.values() if isinstance(it, Mapping) else it for it in level if isinstance(it, (Mapping, list)))
        level = [part for parts in inside for part in parts]
    if level:
        raise InvalidInput(f"it is nested more than {_DEPTH} levels deep")


def _plugins(body: Any) -> tuple[PluginSpec, ...]:
    """The plugins, of which at least one is an algorithm."""
    specs = tuple(PluginSpec(**_plugin(spec)) for spec in items("plugins", body))
    if not any(spec.group == ALGORITHMS for spec in specs):
        raise InvalidInput("none of its plugins is an algorithm")
    return specs


def _plugin(body: Any) -> dict[str, Any]:
    fields = mapping("a plugin", body)
    for name, value in fields.items():
        if name == "options":
            mapping("a plugin's options", value)
        elif value is not None or name in ("name", "group", "target"):
            text(f"a plugin's {name}", value)
    return fields


def _backend(body: Any) -> Mapping[str, Any]:
    """An estimator's description; where it names a function, the function's folder may be there too."""
    description = mapping("backend", body)
    text("the backend's kind", description["kind"])
    if "function" in description:
        text("the backend's function", description["function"])
        if description.get("folder") is not None:
            text("the backend's folder", description["folder"])
    return description


def _policy(body: Any) -> Policy:
    policy = Policy(**body)
    if policy.max_cost is not None and not policy.reservation:
        raise InvalidInput("policy has a max_cost, and no reservation for a job")
    return policy
