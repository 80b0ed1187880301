"""Tune a SageMaker script-mode training script on this machine.

Each job has its own folder, and its process outlives the driver.
"""

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs

from byohpo_core.backends.local.backend import LocalBackend
from byohpo_core.backends.local.files import local_path
from byohpo_core.backends.local.program import Program
from byohpo_core.backends.local.stopping import StoppingBackend
from byohpo_core.backendspecs import (
    Estimator,
    JobSettings,
    checked_arguments,
)
from byohpo_core.container import channels
from byohpo_core.errors import InvalidInput
from byohpo_core.metrics import compile_metrics, default_regex
from byohpo_core.secrets import Secrets, marked
from byohpo_core.study.problem import Problem
from byohpo_core.study.study import Study
from byohpo_core.validate import frozen_mapping, number, text


def _path(given: Any) -> str:
    return text("a training script's path", str(given) if isinstance(given, os.PathLike) else given)


def _seconds(given: Any) -> float:
    return float(number("stop_grace_seconds", given, at_least=0))


@attrs.frozen
class TrainingScript(Estimator):
    """A training script, run as in SageMaker's script mode; the options have the names of the SDK's Estimator.

    *entry_point* is relative to *source_dir* or, without one, to the working folder. The source is copied once per
    study, so that later edits do not change a study that is resumed. *environment* is added to this process's own
    variables. *python* is the interpreter, by default the one that runs this process. A job that is stopped gets
    SIGTERM and, *stop_grace_seconds* later, SIGKILL.
    """

    entry_point: str = attrs.field(converter=_path)
    source_dir: str | None = attrs.field(default=None, converter=attrs.converters.optional(_path), kw_only=True)
    hyperparameters: Mapping[str, Any] = attrs.field(default=None, converter=frozen_mapping, kw_only=True)
    environment: Mapping[str, Any] = attrs.field(default=None, converter=frozen_mapping, kw_only=True, repr=False)
    python: str = attrs.field(default=sys.executable, converter=_path, kw_only=True)
    stop_grace_seconds: float = attrs.field(default=30.0, kw_only=True, converter=_seconds)
    kind: ClassVar[str] = "local"
    keeps_secrets: ClassVar[bool] = True

    @property
    def script(self) -> Path:
        """The absolute path of the script."""
        return _normal(Path(self.source_dir or "", self.entry_point))

    @property
    def name(self) -> str:
        return "-".join(re.findall(r"[a-zA-Z0-9]+", Path(self.entry_point).stem))[:40].strip("-") or "script"

    def metric_definitions(self, objectives: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Find `metric=0.5` and `metric: 0.5` in the log."""
        return [(metric, default_regex(metric)) for metric in objectives]

    def prepare(self, problem: Problem, settings: JobSettings, inputs: Any) -> tuple["TrainingScript", JobSettings]:
        if self.source_dir is not None and _normal(self.source_dir) not in self.script.parents:
            raise InvalidInput(f"the training script {self.script} is not in source_dir {self.source_dir}")
        for name, value in self.environment.items():
            if not isinstance(value, str):  # not shown, since it may be secret
                raise InvalidInput(
                    f"environment of the training script: {name} is of type {type(value).__name__}, not a string"
                )
        for name in {*problem.space.parameters, *self.hyperparameters}:
            if re.search(r"[=\s\0]", name):
                raise InvalidInput(
                    f"the hyperparameter {name!r} cannot be passed to a script as `--name value`: rename it without = "
                    "and spaces"
                )
        compile_metrics(settings.metric_definitions)
        places = channels(inputs)
        for channel, place in places.items():
            if place.startswith("s3://"):
                raise InvalidInput(f"channel {channel!r}: {place} is on S3; a local run needs a local folder")
        _exists("the training script", self.script)
        _check_inputs(places)
        # A job runs in its own folder, where a relative path would point elsewhere.
        return attrs.evolve(self, python=self._runnable()), attrs.evolve(settings, inputs=places)

    def hide(self, secrets: Secrets) -> "TrainingScript":
        return attrs.evolve(self, environment=secrets.hide_environment(self.environment))

    def describe(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "entry_point": self.entry_point if self.source_dir else str(self.script),
            "source_dir": str(Path(self.source_dir).absolute()) if self.source_dir else None,
            "environment": dict(self.environment),
            "python": self.python,
            "stop_grace_seconds": self.stop_grace_seconds,
        }

    @classmethod
    def restore(cls, description: Mapping[str, Any], given: Any = None) -> "TrainingScript":
        """A given script's jobs have the secret variables of the study too."""
        script = super().restore(description, given)
        assert isinstance(script, TrainingScript)  # noqa: S101 - by its kind
        secret = {name: it for name, it in description.get("environment", {}).items() if marked(it)}
        return attrs.evolve(script, environment={**secret, **script.environment})

    @classmethod
    def runs(cls, description: Mapping[str, Any], settings: JobSettings, given: Any = None) -> Mapping[str, str]:
        """With the user's own script, the copy of its source that an earlier driver made is run all the same."""
        return {"the copy of the script in": str(settings.folder), **super().runs(description, settings, given)}

    @classmethod
    def from_table(cls, table: Mapping[str, Any], beside: Path) -> "TrainingScript":
        """Keys: the constructor's arguments; *source_dir* or, without it, *entry_point* is relative to the file."""
        arguments = checked_arguments(cls, table)
        place = "source_dir" if "source_dir" in arguments else "entry_point"
        arguments[place] = str(beside / text(place, arguments[place]))
        return cls(**arguments)

    @classmethod
    def to_stop(cls, description: Mapping[str, Any], given: Any = None) -> "TrainingScript":
        """Its backend copies and starts nothing, since a foreign journal could name anything."""
        script = cls.restore(description, given)
        return _OnlyStopped(**attrs.asdict(script, recurse=False))

    def connect(self, study: Study, settings: JobSettings) -> LocalBackend:
        try:
            # A script that is given to a resume was not prepared.
            backend = LocalBackend(self._program(self._runnable()), study, settings)
            if not backend.code.exists():
                _exists("the training script", self.script)
            _check_inputs(settings.inputs)
        except InvalidInput as error:
            raise InvalidInput(
                f"{error}; if it has moved, resume from a program: "
                f"Tuner.attach({study.name!r}, estimator=TrainingScript(...)).resume()"
            ) from error
        backend.copy_source()
        return backend

    def _runnable(self) -> str:
        """The absolute path of the interpreter; raise `InvalidInput` if it cannot be run."""
        python = shutil.which(self.python, path=self.environment.get("PATH"))
        if python is None:
            raise InvalidInput(f"python of the training script is {self.python!r}, which cannot be run")
        return str(Path(python).absolute())

    def _program(self, python: str) -> Program:
        script = self.script
        in_source = str(script.relative_to(_normal(self.source_dir))) if self.source_dir else script.name
        return Program(
            script=script,
            source_dir=self.source_dir,
            script_in_source=in_source,
            python=python,
            environment=self.environment,
            stop_grace_seconds=self.stop_grace_seconds,
        )


@attrs.frozen
class _OnlyStopped(TrainingScript):
    """A script whose jobs are only stopped."""

    def connect(self, study: Study, settings: JobSettings) -> LocalBackend:
        return StoppingBackend(self._program(self.python), study, settings)


def _check_inputs(places: Mapping[str, str]) -> None:
    for channel, place in places.items():
        _exists(f"channel {channel!r}:", local_path(place))


def _exists(what: str, path: Path) -> None:
    if not path.exists():
        raise InvalidInput(f"{what} {path} does not exist")


def _normal(path: str | Path) -> Path:
    """An absolute path without `..`; symbolic links are kept."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve would follow links
