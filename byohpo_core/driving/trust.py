"""What a journal's manifest says is to run is run only if this user trusts the study.

A user trusts the studies that they created on this machine, those for which they gave the objects themselves, and those
to which they agreed with `byohpo trust NAME`. Trust is kept in `$XDG_STATE_HOME/byohpo/trust`, one line
`<study id> <digest>` each. The digest covers everything that is to run, so a changed journal is asked about again.
"""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from byohpo_core.backends.estimators import estimator_class, reading
from byohpo_core.backendspecs import Estimator
from byohpo_core.driving.manifest import Manifest
from byohpo_core.errors import ByohpoError, Untrusted, one_line
from byohpo_core.files import create_folder, open_file
from byohpo_core.journal.log import EventLog
from byohpo_core.journal.place import command
from byohpo_core.logger import logger as _logger
from byohpo_core.plugins.finding import PluginSpec, named_by_target, place_of_class
from byohpo_core.secrets import marked_in

_here: set[str] = set()
"""The lines of trust of this process, which hold also where no file can be kept."""


def to_run(
    manifest: Manifest, given: Estimator | None = None, loaded: Container[str] = (), secrets: Container[str] = ()
) -> Mapping[str, str]:
    """What would run because the manifest says so: what it is and its name.

    The user's *given* estimator, and the plugins in *loaded*, replace what the manifest names. Hyperparameters get
    secrets from this user's environment, but those in *secrets*, which the user gives.
    """
    runs = estimator_class(manifest.backend["kind"]).runs(manifest.backend, manifest.settings, given)
    classes = {
        f"plugin {spec.name}": f"{spec.target} in {place_of_class(spec)}"
        for spec in _by_target(manifest)
        if spec.name not in loaded
    }
    taken = [name for name in _hyperparameters(manifest) if name not in secrets]
    variables = {"with the variables": ", ".join(taken)} if taken else {}
    told = {**runs, **classes, **variables}
    if told:
        resource = manifest.problem.resource
        amounts = {} if resource is None else {resource.name: [resource.least, resource.most]}
        fixed, channels = manifest.problem.space.static, manifest.settings.inputs
        given_too = {"fixed hyperparameters": fixed, "resource": amounts, "channels": channels}
        told |= {f"with the {what}": json.dumps(dict(values)) for what, values in given_too.items() if values}
    return {one_line(what): one_line(name) for what, name in told.items()}


def digest(study_id: str, manifest: Manifest) -> str:
    """A digest of all that the manifest says is to run, and with what."""
    parts: dict[str, Any] = {
        "study": study_id,
        "backend": manifest.backend,
        "folder": str(manifest.settings.folder),
        "classes": sorted({(it.group, it.name, it.target, place_of_class(it)) for it in _by_target(manifest)}),
        "inputs": dict(manifest.settings.inputs),
        "space": manifest.problem.to_json()["space"],
    }
    if secrets := _hyperparameters(manifest):
        parts["secrets"] = secrets
    if manifest.problem.resource is not None:  # a hyperparameter, too
        parts["resource"] = attrs.asdict(manifest.problem.resource)
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def trust(study_id: str, its_digest: str) -> bool:
    """Trust a study from now on. Returns False if only this process will know, since there is no place to keep it."""
    line = f"{study_id} {its_digest}"
    _here.add(line)
    if line in _kept():
        return True
    try:
        create_folder(_file().parent)
        with os.fdopen(open_file(_file(), os.O_WRONLY | os.O_CREAT | os.O_APPEND), "a") as kept:
            kept.write(f"{line}\n")
    except (OSError, ByohpoError):
        return False
    return line in _kept()


def trusting(manifest: Manifest) -> Callable[[str], bool]:
    """Return a function that trusts a new study of this manifest by its id.

    It is called before the study exists: somebody who creates one and dies has not lost the trust in it.
    """
    as_kept = Manifest.from_json(json.loads(json.dumps(manifest.to_json())))
    return lambda study_id: trust(study_id, digest(study_id, as_kept))


def trust_study(log: EventLog, *, tell: bool = False) -> bool:
    """Trust all that a study's journal says is to run, from now on. Returns False as `trust` does.

    With *tell*, the user is told what that is, if they have not agreed to it before.
    """
    manifest = Manifest.of(log)
    its_digest = digest(log.id, manifest)
    if tell and not is_trusted(log.id, its_digest):
        with reading(log.id):
            runs = to_run(manifest)
        if runs:
            _logger.warning("study %s is trusted from now on to run: %s", log.name, _told(runs))
    return trust(log.id, its_digest)


def is_trusted(study_id: str, its_digest: str) -> bool:
    """True if this user trusts the study as it is."""
    line = f"{study_id} {its_digest}"
    return line in _here or its_digest in os.environ.get("BYOHPO_TRUST", "").split() or line in _kept()


def words_of_trust(log: EventLog, manifest: Manifest) -> list[str] | None:
    """What a command that resumes the study needs: nothing, `--trust`, or (None) `byohpo trust` first."""
    line = f"{log.id} {digest(log.id, manifest)}"
    if line in _kept():
        return []
    return ["--trust"] if line in _here else None


def check_trust(
    log: EventLog, manifest: Manifest, given: Estimator | None, loaded: Container[str], secrets: Container[str]
) -> None:
    """Raise `Untrusted`, which tells what would run, if the journal names it and this user has not agreed to it."""
    runs = to_run(manifest, given, loaded, secrets)
    if runs and not is_trusted(log.id, digest(log.id, manifest)):
        raise Untrusted(
            f"study {log.name!r} was not created here by you, and its journal says what to run: {_told(runs)}. If you "
            f"trust all of it: `{command(log.path, 'trust', log.name)}`"
        )


def _told(runs: Mapping[str, str]) -> str:
    return ", ".join(f"{what} {name}" for what, name in runs.items())


def _by_target(manifest: Manifest) -> Iterator[PluginSpec]:
    return filter(named_by_target, manifest.plugins)


def _hyperparameters(manifest: Manifest) -> list[str]:
    """The secrets of fixed hyperparameters."""
    return sorted({*marked_in(manifest.problem.space.static)})


def _file() -> Path:
    """Where trust is kept; raises `OSError` where this user has no home."""
    try:
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise OSError(str(error)) from error
    return Path(state, "byohpo", "trust")


def _kept() -> set[str]:
    """The lines in the file; none if it is missing, or if others may write to it."""
    try:
        with os.fdopen(os.open(_file(), os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8", errors="replace") as file:
            state = os.fstat(file.fileno())
            if state.st_uid != os.geteuid() or state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                _logger.warning("%s is ignored, since others may have written to it: delete it", _file())
                return set()
            return set(file.read().splitlines())
    except OSError:
        return set()
