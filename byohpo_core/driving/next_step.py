"""The command or code that resumes or stops a study, for messages."""

from byohpo_core.backends.estimators import estimator_class
from byohpo_core.driving.manifest import Manifest
from byohpo_core.driving.trust import words_of_trust
from byohpo_core.importable import is_tied
from byohpo_core.journal.log import EventLog
from byohpo_core.journal.place import MEMORY, command, is_default
from byohpo_core.plugins.finding import ALGORITHMS

_METHODS = {"resume": "resume", "stop": "stop_tuning_job"}


def next_step(verb: str, log: EventLog, manifest: Manifest, *, restart_algorithm: bool = False) -> str:
    """A shell command that resumes or stops a study. If its function or class exists only in a program, Python code."""
    method = f"{_METHODS[verb]}({'restart_algorithm=True' if restart_algorithm else ''})"
    if log.path == MEMORY:
        return f"`{method}` of this program's Tuner"
    function = manifest.backend.get("function", "")
    plugins = [spec for spec in manifest.plugins if spec.distribution is None and is_tied(spec.target)]
    if verb == "stop":  # it asks no plugin
        plugins = []
    if not is_tied(function) and not plugins:
        words = ["--restart-algorithm"] if restart_algorithm else []
        if verb == "resume":
            trusting = words_of_trust(log, manifest)
            if trusting is None:
                return f"`{command(log.path, 'trust', log.name)}`"
            words += trusting
        return f"`{command(log.path, verb, log.name, *words)}`"
    registered = ""
    arguments = [repr(log.name), *([] if is_default(log.path) else [f"journal={log.path!r}"])]
    if is_tied(function):
        estimator = estimator_class(manifest.backend["kind"]).in_code(_called(function, "the_function"))
        arguments.append(f"estimator={estimator}")
    for spec in plugins:
        if spec.group == ALGORITHMS:
            arguments.append(f"strategy={_called(spec.target, 'TheClass')}")
        elif "<" in spec.target:
            registered += f"from byohpo_core import register; register({spec.name!r}, TheClass, group='extensions'); "
    return f"`{registered}Tuner.attach({', '.join(arguments)}).{method}`"


def _called(target: str, otherwise: str) -> str:
    """Its name at the top level of its program, if it has one."""
    qualname = target.rpartition(":")[2]
    return qualname if all(map(str.isidentifier, qualname.split("."))) else otherwise
