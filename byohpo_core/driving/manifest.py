"""The settings of a study: everything that another process needs to resume it."""

from collections.abc import Mapping
from typing import Any

import attrs

from byohpo_core.backendspecs import JobSettings
from byohpo_core.driving.policy import Policy
from byohpo_core.errors import JournalError, unreadable
from byohpo_core.journal.log import EventLog
from byohpo_core.plugins.finding import ALGORITHMS, PluginSpec
from byohpo_core.study import events
from byohpo_core.study.events import Happening
from byohpo_core.study.problem import Problem

FORMAT = 1


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

    @classmethod
    def of(cls, log: EventLog) -> "Manifest":
        """The manifest of a study as of its newest epoch."""
        return cls.from_json(log.manifest())

    @property
    def algorithm(self) -> PluginSpec:
        """The plugin that the user chose as the strategy."""
        return next(spec for spec in self.plugins if spec.group == ALGORITHMS)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            **self.epoch()[1],
            "backend": dict(self.backend),
            "settings": self.settings.to_json(),
            "policy": attrs.asdict(self.policy),
            "warm_start_from": list(self.warm_start_from),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "Manifest":
        try:
            if body["format"] > FORMAT:
                raise JournalError("the study was written by a newer byohpo: pip install --upgrade byohpo-core")
            return cls(
                Problem.from_json(body["problem"]),
                tuple(PluginSpec(**spec) for spec in body["plugins"]),
                body["backend"],
                JobSettings.from_json(body["settings"]),
                Policy(**body["policy"]),
                tuple(body.get("warm_start_from", ())),
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise unreadable("the study's manifest", error) from error

    def epoch(self) -> Happening:
        """An epoch event with the parts that may change during a study's life."""
        return events.epoch(self.problem.to_json(), [spec.to_json() for spec in self.plugins])
