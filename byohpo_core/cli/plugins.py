"""`byohpo algorithms`, `extensions`, `backends` and `info`: what is installed, and what one of them takes."""

import argparse
import inspect
import math
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from typing import Any

import attrs

from byohpo_core.cli.output import say, say_columns
from byohpo_core.errors import UnknownPlugin, one_line
from byohpo_core.plugins.finding import ALGORITHMS, BACKENDS, EXTENSIONS, Loaded, PluginFactory, find, installed, load
from byohpo_core.plugins.options import option_parameters
from byohpo_core.validate import nearest

_LOADERS = 4


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    algorithms = commands.add_parser("algorithms", help="list the installed algorithms, without importing them")
    algorithms.add_argument("--verbose", action="store_true", help="try to load each, in a process of its own")
    algorithms.set_defaults(run=_algorithms, group=ALGORITHMS)
    extensions = commands.add_parser("extensions", help="list the installed stop rules and other extensions")
    extensions.set_defaults(run=_algorithms, group=EXTENSIONS, verbose=False)
    backends = commands.add_parser("backends", help="list the installed backends: what can run a study's jobs")
    backends.add_argument("--verbose", action="store_true", help="try to load each, in a process of its own")
    backends.set_defaults(run=_algorithms, group=BACKENDS)
    info = commands.add_parser("info", help="describe a plugin and its options")
    info.add_argument("name", help="the name of an algorithm, an extension or a backend")
    info.set_defaults(run=_info)


def _algorithms(options: argparse.Namespace) -> int:
    groups = installed(options.group)
    entries = [entry for group in groups.values() for entry in group]
    table = [_described(entry, clash=len(groups[entry.name]) > 1) for entry in entries]
    failed = False
    if options.verbose:
        with ThreadPoolExecutor(_LOADERS) as pool:
            troubles = list(pool.map(try_to_load, entries))
        failed = any(troubles)
        table = [[*line, trouble or "loads"] for line, trouble in zip(table, troubles, strict=True)]
    if not table:
        say("no algorithm is installed: pip install byohpo-plugin-random")
    say_columns(table)
    return int(failed)


def _described(entry: EntryPoint, *, clash: bool) -> list[str]:
    if entry.dist is None:
        return [entry.name, entry.value, "", ""]
    # One word on a distribution would not tell the core's own plugins apart; to import these is safe.
    ours = entry.dist.name == "byohpo-core"
    summary = _sentence(load(entry)) if ours else entry.dist.metadata["Summary"] or ""
    told = f"{summary} [not usable: two distributions have this name]" if clash else summary
    return [entry.name, entry.dist.name, entry.dist.version, told.strip()]


def _info(options: argparse.Namespace) -> int:
    found = _found(options.name)
    say(f"{found.name}: {_sentence(found.plugin)}")
    if found.distribution is not None:
        say(f"{found.distribution} {found.version}")
    if found.group == BACKENDS:
        estimator: Any = found.plugin
        parameters: Mapping[str, inspect.Parameter] | None = estimator.table_keys()
        say(f'in a TOML file: a table [estimator] with kind = "{found.name}" and these keys')
    else:
        parameters = option_parameters(found.plugin)
    if parameters is None:
        say("takes any option")
    elif not parameters:
        say("no options")
    else:
        meanings = _meanings(found)
        table = [[f"  {name}", _default(it), meanings.get(name, "")] for name, it in parameters.items()]
        say("options, their defaults and meaning:")
        say_columns(table)
    return 0


def _found(name: str) -> Loaded:
    """The algorithm of a name or, if there is none, the extension or the backend."""
    others = {group: installed(group) for group in (EXTENSIONS, BACKENDS)}
    try:
        return find(name, ALGORITHMS)
    except UnknownPlugin as error:
        for group, names in others.items():
            if name in names and name not in installed(ALGORITHMS):
                return find(name, group)
        extensions, backends = (nearest(name, names, "installed") for names in others.values())
        raise UnknownPlugin(f"{error}; nor is it an extension{extensions}, nor a backend{backends}") from error


def _sentence(plugin: PluginFactory) -> str:
    return one_line((inspect.getdoc(plugin) or "no description").split("\n\n")[0])


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "(needed)"
    return "(derived)" if parameter.default is attrs.NOTHING else repr(parameter.default)


def _meanings(found: Loaded) -> dict[str, str]:
    if not isinstance(found.plugin, type) or not attrs.has(found.plugin):
        return {}
    return {field.alias or field.name: field.metadata.get("help", "") for field in attrs.fields(found.plugin)}


LOAD_SECONDS = 10.0
"""The processor time that one plugin's import may take, so that a busy machine makes none fail."""
LAST_RESORT_SECONDS = 60.0


def try_to_load(entry: EntryPoint) -> str | None:
    """Load an entry point in a separate process. Returns the error, or None if it loads."""
    module, _, attribute = entry.value.partition(":")
    code = (
        "import sys, operator, resource as r, importlib as i; r.setrlimit(r.RLIMIT_CORE, (0, 0)); "
        "r.setrlimit(r.RLIMIT_CPU, (int(sys.argv[3]), r.getrlimit(r.RLIMIT_CPU)[1])); "
        "operator.attrgetter(sys.argv[2])(i.import_module(sys.argv[1]))"
    )
    command = [
        sys.executable,
        "-c",
        code,
        module.strip(),
        attribute.split("[")[0].strip(),
        str(math.ceil(LOAD_SECONDS)),
    ]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, no shell
            command, capture_output=True, text=True, timeout=LAST_RESORT_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return f"still importing after {LAST_RESORT_SECONDS:.0f} s"
    if done.returncode == -signal.SIGXCPU:
        return f"still importing after {LOAD_SECONDS:.0f} s of processor time"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return None
