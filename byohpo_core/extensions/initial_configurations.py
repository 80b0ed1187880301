"""Try given configurations before the algorithm's own. `initial_configurations=` adds this plugin to a study."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from byohpo_core.errors import InvalidInput
from byohpo_core.hookspecs import hookimpl
from byohpo_core.study.problem import Problem
from byohpo_core.study.study import Study

NAME = "initial-configurations"


@attrs.define(eq=False)
class InitialConfigurations:
    """Propose the given configurations, then nothing more. Skip those that the study has already proposed."""

    problem: Problem
    configurations: Sequence[Mapping[str, Any]] = attrs.field(
        metadata={"help": "complete configurations, tried in this order"}
    )
    _left: deque[dict[str, Any]] = attrs.field(init=False, factory=deque)
    _begun: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        for index, configuration in enumerate(self.configurations):
            try:
                self._left.append(self.problem.space.check(configuration))
            except InvalidInput as error:
                raise InvalidInput(f"initial configuration {index}: {error}") from error

    @hookimpl
    def propose(self, study: Study, count: int) -> list[dict[str, Any]]:
        if not self._begun:
            self._begun = True
            for trial in study.trials:
                if trial.plugin == NAME and trial.proposal.hyperparameters in self._left:
                    self._left.remove(dict(trial.proposal.hyperparameters))
        return [self._left.popleft() for _ in range(min(count, len(self._left)))]
