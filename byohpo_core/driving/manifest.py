"""What a study was set up with: everything that is needed to go on with it in another process."""

from collections.abc import Mapping
from typing import Any

import attrs

from byohpo_core.backendspecs import JobSettings
from byohpo_core.driving.policy import Policy
from byohpo_core.errors import JournalError
from byohpo_core.journal.log import EventLog
from byohpo_core.plugins.finding import ALGORITHMS, PluginSpec
from byohpo_core.study import events
from byohpo_core.study.events import Happening
from byohpo_core.study.problem import Problem

FORMAT = 1


@attrs.frozen
class Manifest:
    """A study's settings; frozen at its creation, but for what a later epoch changes."""

    problem: Problem
    plugins: tuple[PluginSpec, ...]
    backend: Mapping[str, Any]
    """An estimator's `describe()`."""
    settings: JobSettings
    policy: Policy
    warm_start_from: tuple[str, ...] = ()
    """Ids of the studies in this journal whose results are known from the beginning."""

    @classmethod
    def of(cls, log: EventLog) -> "Manifest":
        """The manifest of a study, with the problem and the plugins of its present epoch."""
        return cls.from_json(log.manifest())

    @property
    def algorithm(self) -> PluginSpec:
        """The plugin that the user named as the strategy."""
        return next(spec for spec in self.plugins if spec.group == ALGORITHMS)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            **self.epoch().body,
            "backend": dict(self.backend),
            "settings": self.settings.to_json(),
            "policy": attrs.asdict(self.policy),
            "warm_start_from": list(self.warm_start_from),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "Manifest":
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

    def epoch(self) -> Happening:
        """An epoch with what may change during a study's life."""
        return events.epoch(self.problem.to_json(), [attrs.asdict(spec) for spec in self.plugins])
