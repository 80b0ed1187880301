"""Turn a user's arguments into the parts of a manifest, and check them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import SystemRandom
from typing import Any

import attrs

from byohpo_core import validate
from byohpo_core.backends.estimators import fetch_study
from byohpo_core.backendspecs import Estimator, JobSettings
from byohpo_core.driving.manifest import Manifest
from byohpo_core.driving.warm_start import check_parents
from byohpo_core.errors import InvalidInput, UnknownStudy
from byohpo_core.journal import open_journal
from byohpo_core.journal.log import EventLog
from byohpo_core.journal.place import MEMORY, command
from byohpo_core.journal.studies import Journal
from byohpo_core.logger import logger as _logger
from byohpo_core.plugins.automatic import AUTO, Automatic, choose
from byohpo_core.plugins.finding import ALGORITHMS, EXTENSIONS, Loaded, PluginFactory, find
from byohpo_core.secrets import Secrets
from byohpo_core.space.space import SearchSpace
from byohpo_core.study.problem import Objective, OutcomeConstraint, Problem, Resource

Extension = str | PluginFactory | tuple[str | PluginFactory, Mapping[str, Any]]
Choice = tuple[Loaded, Mapping[str, Any]]
"""A plugin and the options that it is to be built with."""


def resource_of(name: Any, most: Any, least: Any) -> Resource | None:
    """The hyperparameter of which an algorithm gives each trial more or less, if the user names one."""
    if name is None:
        if most is not None or least != 1:
            raise InvalidInput(
                'max_resource and min_resource are the limits of a hyperparameter: name it, as in resource="num_epoch"'
            )
        return None
    if most is None:
        raise InvalidInput(f"max_resource is missing: it says how much of resource={name!r} a trial may have")
    return Resource(name, most, least)


def constraints_of(given: Any) -> tuple[list[Any], tuple[OutcomeConstraint, ...]]:
    """The constraints on configurations, and those on outcomes."""
    constraints = validate.items("constraints", given)
    outcomes = tuple(it for it in constraints if isinstance(it, OutcomeConstraint))
    return [it for it in constraints if not isinstance(it, OutcomeConstraint)], outcomes


def space_of(
    estimator: Estimator, ranges: Any, constraints: Sequence[Any], resource: Resource | None, secrets: Secrets
) -> SearchSpace:
    """The search space with the estimator's fixed hyperparameters, and marks in the place of secrets.

    A range or a fixed value of the resource is left out, since each trial has its own amount.
    """
    ranges = validate.mapping("hyperparameter_ranges", ranges)
    fixed = dict(estimator.fixed(ranges))
    if resource is not None:
        ranges.pop(resource.name, None)
        fixed.pop(resource.name, None)
        secrets.check_tunable([resource.name])
    return SearchSpace.of(ranges, fixed, constraints).hiding(secrets)


def problem_of(
    space: SearchSpace,
    objectives: tuple[Objective, ...],
    outcomes: tuple[OutcomeConstraint, ...],
    seed: Any,
    max_jobs: Any,
    max_parallel_jobs: Any,
    resource: Resource | None,
) -> Problem:
    """The problem with the constraints on outcomes, and a seed that is drawn unless the user gives one."""
    seed = SystemRandom().getrandbits(32) if seed is None else seed
    return Problem(space, objectives, seed, max_jobs, max_parallel_jobs, outcomes, resource)


def automatic(strategy: Any, options: Any, problem: Problem) -> Automatic | None:
    """What is chosen for the user; None if the user has named an algorithm."""
    if not (isinstance(strategy, str) and strategy == AUTO):
        return None
    if options:
        raise InvalidInput('strategy_options are for an algorithm that you name: strategy="auto" takes none')
    return choose(problem)


def algorithm_of(strategy: Any, options: Any, configurations: Any) -> list[Choice]:
    """The algorithm, preceded by the initial configurations."""
    chosen: list[Choice] = [(find(strategy, ALGORITHMS), {} if options is None else options)]
    if configurations := validate.items("initial_configurations", configurations):
        first = {"configurations": [validate.mapping("an initial configuration", it) for it in configurations]}
        chosen.insert(0, (find("initial-configurations", EXTENSIONS), first))
    return chosen


def extensions_of(
    extensions: Any, failure_limit: Any, seconds: Any, early_stopping: Any, estimator: Any
) -> list[Choice]:
    """The user's extensions, and those of the core that arguments ask for."""
    chosen = [_extension(extension) for extension in validate.items("extensions", extensions)]
    if validate.flag("failure_limit", failure_limit):
        chosen.append((find("failure-limit", EXTENSIONS), {}))
    if seconds is not None:
        chosen.append((find("wall-time", EXTENSIONS), {"seconds": seconds}))
    if validate.choice("early_stopping_type", early_stopping, ("Off", "Auto")) == "Auto":
        if not estimator.reports:
            raise InvalidInput(
                'early_stopping_type="Auto" goes by what jobs report while they run, and a Python function reports '
                "nothing before its end: leave it out, or give a TrainingScript"
            )
        chosen.append((find("median", EXTENSIONS), {}))
    return chosen


def parents_of(journal: Journal, names: Any, problem: Problem) -> tuple[str, ...]:
    """The ids of the studies to start from, whose results fit the problem."""
    named = [validate.text("warm_start_from", it) for it in validate.items("warm_start_from", names)]
    return check_parents(journal, named, problem)


def by_name(chosen: Sequence[Choice]) -> dict[str, Loaded]:
    """Plugins by name; raises `InvalidInput` if one is named twice."""
    loaded = {plugin.name: plugin for plugin, _ in chosen}
    if len(loaded) < len(chosen):
        names = [plugin.name for plugin, _ in chosen]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"the plugin {twice!r} is named twice (failure_limit=False leaves out the core's own)")
    return loaded


def job_settings_of(
    folder: Path, definitions: Any, tags: Any, shared: Any, problem: Problem, estimator: Estimator
) -> JobSettings:
    """The tags, and the user's metric definitions with the estimator's for needed metrics that have none."""
    given = _pairs("metric_definitions", () if definitions is None else definitions, "Name", "Regex")
    names = [name for name, _ in given]
    missing = [metric for metric in problem.metrics if metric not in names]
    metrics = (*given, *estimator.metric_definitions(missing))
    pairs = tuple(_pairs("tags", () if tags is None else tags, "Key", "Value"))
    return JobSettings(folder, metrics, tags=pairs, shared=validate.flag("shared", shared))


def _check_secrets(secrets: Secrets, estimator: Estimator) -> None:
    """Raise `InvalidInput` if a secret is not used, has no value, or could not be kept by this kind of backend."""
    secrets.check_used()
    if secrets.used and not estimator.keeps_secrets:
        raise InvalidInput(
            f"a backend of kind {estimator.kind!r} cannot keep secrets ({', '.join(sorted(secrets.used))}): leave them "
            "out, or let its author set keeps_secrets (docs/bring-your-own/4-a-backend.md)"
        )
    secrets.check_known()


def prepare(given: Estimator, plan: Manifest, inputs: Any, secrets: Secrets) -> tuple[Manifest, Estimator]:
    """The final manifest and estimator of a new study, prepared with the user's inputs and without secret values."""
    prepared, job_settings = given.prepare(plan.problem, plan.settings, inputs)
    estimator, policy = prepared.hide(secrets), plan.policy
    _check_secrets(secrets, estimator)
    if policy.max_cost is not None:
        policy = attrs.evolve(policy, reservation=_reservation_of(estimator, policy.max_cost))
    return attrs.evolve(plan, settings=job_settings, policy=policy, backend=estimator.describe()), estimator


def _reservation_of(estimator: Estimator, max_cost: float) -> float:
    """The amount to set aside for each job. Raises `InvalidInput` if `max_cost` cannot be kept or is too small."""
    reservation = estimator.reservation()
    if reservation is None:
        raise InvalidInput("max_cost is for jobs that cost money: training jobs on SageMaker")
    if reservation > max_cost:
        raise InvalidInput(
            f"max_cost is {max_cost:.2f}, but a single job may cost {reservation:.2f}: lower its MaxRuntimeInSeconds "
            "(the SDK's max_run), or raise max_cost"
        )
    return reservation


def find_study(journal: Journal, name: str, estimator: Estimator | None, mirror: str | None) -> EventLog:
    """The study in this journal or, if it is not there, a copy in memory of its mirror where the user says it is."""
    try:
        return journal.find(name)
    except UnknownStudy as unknown:
        if estimator is None and mirror is None:
            pull = command(journal.path, "pull", name)
            raise UnknownStudy(
                f"{unknown}; `{pull}` fetches a study of SageMaker jobs that another machine drove"
            ) from None
        try:
            log = fetch_study(open_journal(MEMORY), name, estimator, mirror)
        except UnknownStudy as error:
            raise UnknownStudy(f"{unknown}; {error}") from error
        if log is None:
            raise
        _logger.warning("study %s is not in journal %s, and was read from its mirror", name, journal.path)
        return log


def as_algorithm_of(log: EventLog, strategy: str | PluginFactory) -> dict[str, Loaded]:
    """Plugins by name, with this class in the place of the study's algorithm."""
    name = Manifest.of(log).algorithm.name
    return {name: attrs.evolve(find(strategy, ALGORITHMS), name=name)}


def objectives_of(names: Any, types: Any) -> tuple[Objective, ...]:
    """Metrics, each with its direction."""
    names = [names] if isinstance(names, str) else validate.items("objective_metric_name", names)
    types = [types] * len(names) if isinstance(types, str) else validate.items("objective_type", types)
    if len(types) != len(names):
        raise InvalidInput(f"{len(names)} objective metrics but {len(types)} objective types: give as many")
    if len(set(map(str, names))) < len(names):
        raise InvalidInput(f"an objective metric is named twice: {', '.join(map(str, names))}")
    return tuple(map(Objective, names, types))


def _extension(extension: Extension) -> Choice:
    if not isinstance(extension, tuple):
        return find(extension, EXTENSIONS), {}
    if len(extension) != 2:  # noqa: PLR2004 - a pair
        raise InvalidInput(f"the extension {extension!r} is neither a name nor a pair (name, options)")
    plugin, options = extension
    return find(plugin, EXTENSIONS), options


def _pairs(name: str, given: Any, first: str, second: str) -> list[tuple[str, str]]:
    """SageMaker's lists of small mappings, such as [{"Key": ..., "Value": ...}]."""
    pairs = []
    for body in validate.items(name, given):
        if not isinstance(body, Mapping) or first not in body or second not in body:
            raise InvalidInput(f'{name} has {body!r}; it takes [{{"{first}": ..., "{second}": ...}}, ...]')
        pairs.append((validate.text(f"{name}: {first}", body[first]), validate.text(f"{name}: {second}", body[second])))
    return pairs
