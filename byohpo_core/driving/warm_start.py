"""Start a study with the results of earlier ones: `warm_start_from=`."""

from collections.abc import Sequence

from byohpo_core.driving.manifest import Manifest
from byohpo_core.errors import InvalidInput
from byohpo_core.journal.studies import Journal
from byohpo_core.secrets import marked
from byohpo_core.space.space import SearchSpace
from byohpo_core.study import events
from byohpo_core.study.events import Event, ImportedTrial
from byohpo_core.study.problem import Problem
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial, TrialStatus

_RESULTS = frozenset({TrialStatus.Completed, TrialStatus.Failed, TrialStatus.Pruned})


def check_parents(journal: Journal, names: Sequence[str], problem: Problem) -> tuple[str, ...]:
    """The ids of the studies to start from. Raises `InvalidInput` if one has another space, resource or objectives."""
    ids = []
    for name in names:
        log = journal.find(name)
        parent = Manifest.of(log).problem
        if difference := (
            _difference(parent.space, problem.space)
            or _other_resource(parent, problem)
            or _other_objectives(parent, problem)
        ):
            raise InvalidInput(f"warm_start_from: study {name!r} {difference}")
        ids.append(log.id)
    if len(set(ids)) < len(ids):
        raise InvalidInput(f"warm_start_from names a study twice: {', '.join(names)}")
    return tuple(ids)


def imported(journal: Journal, ids: Sequence[str]) -> list[Event]:
    """The first events of a new study: its parents' results, without repeats and stopped jobs."""
    parents = [journal.find(study_id).study() for study_id in ids]
    known = [events.imported(parent.id, _results(parent)) for parent in parents]
    return [Event(number, kind, 0.0, body) for number, (kind, body) in enumerate(known)]


def _results(parent: Study) -> list[ImportedTrial]:
    return [_result(trial, parent) for trial in parent.trials if trial.status in _RESULTS and trial.result_of is None]


def _result(trial: Trial, parent: Study) -> ImportedTrial:
    whence = f"from study {parent.name}"
    return {
        **trial.proposal.to_json(),
        "plugin": trial.plugin,
        "status": trial.status.value,
        "job": trial.job_name,
        "metrics": dict(trial.metrics),
        "reason": whence if trial.reason is None else f"{whence}: {trial.reason}",
        "started": trial.started,
        "ended": trial.ended,
        "details": dict(trial.details),
    }


def _difference(its: SearchSpace, ours: SearchSpace) -> str | None:
    for name in dict.fromkeys([*its.parameters, *ours.parameters]):
        if name not in its.parameters:
            return f"has no hyperparameter {name!r}"
        if name not in ours.parameters:
            return f"has a hyperparameter {name!r}, which this study has not"
        if its.parameters[name] != ours.parameters[name] and not _is_secret(name, its, ours):
            return f"has {name!r} as {its.parameters[name]}, this study as {ours.parameters[name]}"
    if its.constraints != ours.constraints:
        told = ["; ".join(map(str, space.constraints)) or "none" for space in (its, ours)]
        return f"has the constraints {told[0]}, this study {told[1]}"
    if list(its.tunable) != list(ours.tunable):
        return f"has the order {', '.join(its.tunable)}, this study {', '.join(ours.tunable)}"
    return None


def _is_secret(name: str, *spaces: SearchSpace) -> bool:
    """Whether it is fixed in all these spaces, and secret in one, so that its value cannot be compared."""
    values = [space.static[name] for space in spaces if name in space.static]
    return len(values) == len(spaces) and any(map(marked, values))


def _other_resource(its: Problem, ours: Problem) -> str | None:
    if its.resource == ours.resource:
        return None
    named = [
        "none" if it.resource is None else f"{it.resource.name} from {it.resource.least} to {it.resource.most}"
        for it in (its, ours)
    ]
    return f"has as its resource {named[0]}, this study {named[1]}"


def _other_objectives(its: Problem, ours: Problem) -> str | None:
    if its.objectives == ours.objectives:
        return None
    named = [", ".join(f"{it.direction} {it.metric}" for it in problem.objectives) for problem in (its, ours)]
    return f"has the objectives {named[0]}, this study {named[1]}"
