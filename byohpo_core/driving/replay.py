"""Rebuild a study and its plugins from the journal by repeating the calls that the plugins had."""

import math
from collections.abc import Sequence
from typing import Any

from byohpo_core.driving.manifest import Manifest
from byohpo_core.driving.next_step import next_step
from byohpo_core.errors import Diverged, unreadable
from byohpo_core.journal.log import EventLog
from byohpo_core.plugins.finding import PluginSpec
from byohpo_core.plugins.hooks import StudyPlugins
from byohpo_core.study.events import EventKind, ProposalBody
from byohpo_core.study.fold import Fold
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Proposal

RELATIVE_TOLERANCE = 1e-12


def replay(log: EventLog, manifest: Manifest, plugins: StudyPlugins) -> Fold:
    """Apply all events, and bring the fresh *plugins* to the state that they had.

    The `propose` and `observe` calls of the newest epoch are repeated, each with the study as of that event. Raises
    `Diverged` at the first proposal that differs: integers and strings must be equal, floats to 1e-12 relative.
    Memoryless plugins have no state, so they are not called.
    """
    study = log.blank_study()
    epoch = log.last(EventKind.Epoch)
    versions = {spec.name: spec.version for spec in manifest.plugins}
    way_on = next_step("resume", log, manifest, restart_algorithm=True)
    for event in log.read():
        repeated = event.sequence > epoch
        if repeated and event.kind is EventKind.Asked and event.body["plugin"] not in plugins.memoryless:
            plugin = event.body["plugin"]
            if plugin not in plugins.proposers:
                raise unreadable(
                    f"study {study.id!r}, event {event.sequence} (asked)", f"no plugin {plugin!r} proposes"
                )
            study.tick(event.time)
            answer = plugins.propose(plugin, study, event.body["count"])
            _compare(study, answer, event.body["answer"], plugins.specs[plugin], versions[plugin], way_on)
        study.apply(event)
        if repeated and event.kind is EventKind.Observed:
            trials = [study.trials[number] for number in event.body["trials"]]
            plugins.observe(study, trials, leave_out=plugins.memoryless)
    return study


def _compare(
    study: Study,
    answer: Sequence[Proposal],
    then: Sequence[Any],
    spec: PluginSpec,
    version: str | None,
    way_on: str,
) -> None:
    now = [proposal.to_json() for proposal in answer]
    for index in range(max(len(now), len(then))):
        mine, its = (answers[index] if index < len(answers) else None for answers in (now, then))
        if not _same(mine, its):
            raise Diverged(
                f"study {study.name!r}: plugin {spec.owner} proposes another trial {len(study.trials) + index}: "
                f"the journal has {_described(its)} (written with version {version}), now it proposes "
                f"{_described(mine)}; install that version, or go on with {way_on}"
            )


def _described(proposal: ProposalBody | None) -> str:
    return "nothing" if proposal is None else str(proposal["hyperparameters"])


def _same(mine: Any, its: Any) -> bool:
    if type(mine) is float and type(its) is float:
        return math.isclose(mine, its, rel_tol=RELATIVE_TOLERANCE, abs_tol=0.0)
    if type(mine) is not type(its):
        return False
    if isinstance(mine, dict):
        return mine.keys() == its.keys() and all(_same(value, its[key]) for key, value in mine.items())
    if isinstance(mine, list):
        return len(mine) == len(its) and all(map(_same, mine, its))
    return bool(mine == its)
