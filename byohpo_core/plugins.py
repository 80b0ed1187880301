"""Find plugins by entry point, load the one asked for, and wire those of one study together.

Looking for a name reads metadata only: no plugin but the selected one is imported, so a broken neighbour cannot hurt.
"""

import inspect
import json
import logging
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar, overload

import attrs
import pluggy

from byohpo_core.errors import ByohpoError, InvalidInput, PluginError, UnknownPlugin, one_line
from byohpo_core.hookspecs import PROJECT, HookSpecs
from byohpo_core.importable import load as load_by_name
from byohpo_core.study.events import Event
from byohpo_core.study.problem import Problem
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Proposal, Trial
from byohpo_core.validate import choice, mapping, nearest, number, plain, whole

ALGORITHMS = "byohpo.algorithms"
EXTENSIONS = "byohpo.extensions"
BACKENDS = "byohpo.backends"
_GROUPS = ("algorithms", "extensions", "backends")
_KINDS = {ALGORITHMS: "algorithm", EXTENSIONS: "extension", BACKENDS: "backend"}
_SCIPY = ("basinhopping", "cobyqa", "direct", "dual-annealing", "nelder-mead", "powell", "shgo")
OURS: Mapping[str, str] = {
    **{name: name for name in ("random", "grid", "sobol", "pso", "ga", "de", "es", "eda", "sa", "paes", "nsga2")},
    "scipy-de": "scipy-de",
    **{f"scipy-{name}": "scipy" for name in _SCIPY},
}
"""Our algorithms, each with the end of the name of the distribution, byohpo-plugin-..., that brings it."""
SAGEMAKERS = {"bayesian": "gp", "random": "random", "grid": "grid", "hyperband": "hyperband"}
LOAD_SECONDS = 10.0
"""Of processor time, for one plugin's import, so that a busy machine makes none fail."""
LAST_RESORT_SECONDS = 60.0
_HOOKS = ("propose", "observe", "stop", "prune", "happened")
_logger = logging.getLogger("byohpo")
PluginFactory: TypeAlias = Callable[..., Any]
"""A plugin's class, or any function that makes one from a `Problem` and options."""
_registered: dict[tuple[str, str], PluginFactory] = {}
"""By entry-point group and name, as installed plugins are."""
_Factory = TypeVar("_Factory", bound=PluginFactory)


def option(
    default: Any = attrs.NOTHING,
    *,
    help: str,  # noqa: A002 - argparse's word
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A numeric option of an algorithm: an attrs field with a meaning for `byohpo info` and inclusive bounds.

    A field annotated `int` takes whole numbers only; None is possible where it is the default.
    """

    def check(_: object, field: "attrs.Attribute[Any]", value: Any) -> None:
        if value is None and field.default is None:
            return
        checked = whole if field.type in (int, int | None) else number
        checked(field.name, value, at_least=minimum, at_most=maximum)

    return attrs.field(default=default, validator=check, metadata={"help": help})


@overload
def register(name: str, *, group: str = "algorithms") -> Callable[[_Factory], _Factory]: ...
@overload
def register(name: str, plugin: _Factory, *, group: str = "algorithms") -> _Factory: ...
def register(name: str, plugin: _Factory | None = None, *, group: str = "algorithms") -> Any:
    """Make a plugin's class available under a name in this process, as an entry point would; also a decorator.

    *group* is "algorithms" (names for `strategy=`), "extensions" (for `extensions=`) or "backends". A name belongs to
    its group: an algorithm named "median" leaves the extension "median" alone. Raises `InvalidInput` for another group.
    """
    key = (f"byohpo.{choice('group', group, _GROUPS)}", name)
    if plugin is None:

        def decorate(decorated: _Factory) -> _Factory:
            _registered[key] = decorated
            return decorated

        return decorate
    _registered[key] = plugin
    return plugin


def registered(group: str) -> list[str]:
    """The names that this process has registered in a group."""
    return [name for its_group, name in _registered if its_group == group]


@attrs.frozen
class PluginSpec:
    """A plugin of a study as the manifest keeps it: enough to build it again."""

    name: str
    group: str
    """The entry-point group in which its name is looked up."""
    target: str
    """`module:qualname` of its class."""
    options: Mapping[str, Any]
    distribution: str | None = None
    version: str | None = None

    @property
    def owner(self) -> str:
        """Who answers for it, for messages."""
        if self.distribution is None:
            return f"{self.name!r} ({self.target})"
        return f"{self.name!r} ({self.distribution} {self.version})"


@attrs.frozen
class Found:
    """A plugin class and where it came from."""

    plugin: PluginFactory
    name: str
    group: str
    distribution: str | None = None
    version: str | None = None

    def spec(self, options: Mapping[str, Any]) -> PluginSpec:
        """The manifest's form."""
        target = f"{self.plugin.__module__}:{self.plugin.__qualname__}"
        options = mapping(f"the options of plugin {self.name!r}", options)
        kept = {name: self._kept(name, value) for name, value in options.items()}
        return PluginSpec(self.name, self.group, target, kept, self.distribution, self.version)

    def _kept(self, name: str, value: Any) -> Any:
        """An option's value as the journal keeps it."""
        try:
            return json.loads(json.dumps(value, default=_plain_or_refused, allow_nan=False))
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(
                f"plugin {self.name!r}: the option {name} is {value!r}, which cannot be kept in the journal: it takes "
                "texts, finite numbers, bools, lists and mappings"
            ) from error


def _plain_or_refused(value: Any) -> Any:
    """What JSON lacks: a NumPy scalar is plain Python, anything else is refused."""
    if (given := plain(value)) is value:
        raise TypeError
    return given


def installed(group: str) -> dict[str, list[EntryPoint]]:
    """Entry points of a group by name; two distributions with one name are both there. Nothing is imported."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=group), key=attrgetter("name")):
        found.setdefault(entry.name, []).append(entry)
    return found


def find(plugin: str | PluginFactory, group: str = ALGORITHMS) -> Found:
    """The class that a user's word means: a class itself, a registered name, or an installed entry point."""
    if not isinstance(plugin, str):
        if not callable(plugin) or not hasattr(plugin, "__qualname__"):
            raise InvalidInput(f"{plugin!r} is neither the name of an installed plugin nor a class")
        return Found(plugin, plugin.__name__, group)
    if (group, plugin) in _registered:
        return Found(_registered[group, plugin], plugin, group)
    known = installed(group)
    if plugin not in known:
        raise UnknownPlugin(_unknown(plugin, group, known))
    entries = known[plugin]
    if len(entries) > 1:
        owners = " and ".join(sorted(map(_owner, entries)))
        raise UnknownPlugin(f"{plugin!r} is provided by {owners}: uninstall one of them")
    loaded = load(entries[0])
    distribution = entries[0].dist
    if distribution is None:
        return Found(loaded, plugin, group)
    return Found(loaded, plugin, group, distribution.name, distribution.version)


def load(entry: EntryPoint) -> PluginFactory:
    """Import one entry point's class; whatever goes wrong names its distribution."""
    try:
        loaded = entry.load()
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"plugin {entry.name!r} ({_owner(entry)}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not callable(loaded):
        raise PluginError(f"plugin {entry.name!r} ({_owner(entry)}): {entry.value} is not a class")
    factory: PluginFactory = loaded
    return factory


def try_to_load(entry: EntryPoint) -> str | None:
    """Load an entry point in a process of its own; what went wrong, or None."""
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


def restore(spec: PluginSpec) -> Found:
    """The class of a plugin that a manifest names."""
    if spec.distribution is not None or (spec.group, spec.name) in _registered:
        return find(spec.name, spec.group)
    try:
        found = load_by_name(spec.target)
    except InvalidInput as error:
        give = (
            "Tuner.attach(..., strategy=TheClass)"
            if spec.group == ALGORITHMS
            else f'register({spec.name!r}, TheClass, group="extensions")'
        )
        raise UnknownPlugin(
            f"the study's plugin {spec.name!r} is the class {spec.target}, which this program does not have: use {give}"
        ) from error
    return Found(found, spec.name, spec.group)


def build(found: Found, problem: Problem, options: Mapping[str, Any]) -> Any:
    """An instance of a plugin for one study; a wrong option fails here, before any job."""
    owner = found.spec(options).owner
    known = option_parameters(found.plugin)
    for name in options:
        if known is not None and name not in known:
            raise InvalidInput(f"plugin {owner} has no option {name!r}{nearest(name, known, 'its options')}")
    for name, parameter in (known or {}).items():
        if parameter.default is inspect.Parameter.empty and name not in options:
            raise InvalidInput(f"plugin {owner} needs the option {name!r} (byohpo info {found.name})")
    try:
        plugin = found.plugin(problem, **options)
    except (InvalidInput, TypeError, ValueError) as error:
        raise InvalidInput(f"plugin {owner}: {_first_line(error)}") from error
    except ByohpoError:
        raise
    except Exception as error:
        raise PluginError(f"plugin {owner} failed to start: {_told(error)}") from error
    if plugin is None:
        raise PluginError(f"plugin {owner} made nothing: {found.plugin.__qualname__} returned None")
    return plugin


def option_parameters(plugin: PluginFactory) -> Mapping[str, inspect.Parameter] | None:
    """A plugin class's options by name, or None if it takes any."""
    try:
        first, *rest = inspect.signature(plugin).parameters.values()
    except (TypeError, ValueError):
        return {}
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in (first, *rest)):
        return None
    return {parameter.name: parameter for parameter in rest if parameter.kind is not inspect.Parameter.VAR_POSITIONAL}


def _unknown(name: str, group: str, known: Mapping[str, Any]) -> str:
    names = [*known, *registered(group)]
    message = f"no installed plugin provides {_KINDS[group]} {name!r}{nearest(name, names, 'installed')}"
    if group != ALGORITHMS:
        if (ALGORITHMS, name) in _registered:
            return f'{message}; {name!r} is registered as an algorithm: register({name!r}, ..., group="{group[7:]}")'
        return message
    lower = name.lower()
    if lower in names:
        return f'{message}; write strategy="{lower}"'
    if lower in OURS:
        written = "" if lower == name else f' and write strategy="{lower}"'
        return f"{message}; pip install byohpo-plugin-{OURS[lower]}{written}"
    if lower in SAGEMAKERS:
        first = next((it for it in ("pso", "random", *known) if it in known), None)
        way_out = f'write strategy="{first}" or another installed one' if first else "pip install byohpo-plugin-pso"
        return f"{message}; {name} is SageMaker's own and runs only there: {way_out}"
    return message


def _owner(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _told(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {one_line(error)}"


def _first_line(error: BaseException) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    return text.splitlines()[0] if text else type(error).__name__


class StudyPlugins:
    """The plugins of one study, asked one at a time in their order, so that it is known who answered."""

    def __init__(self, specs: Sequence[PluginSpec], plugins: Sequence[Any]) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(HookSpecs)
        for spec, plugin in zip(specs, plugins, strict=True):
            self._register(spec, plugin)
        self._plugins = dict(zip(self.specs, plugins, strict=True))
        self._callers = {hook: self._hook_callers(hook) for hook in _HOOKS}
        for spec in specs:
            if spec.group == ALGORITHMS and spec.name not in self._callers["propose"]:
                raise PluginError(f"plugin {spec.owner} has no propose hook: mark it with @hookimpl")
        self._reporters: dict[str, Callable[..., object]] = {
            self.specs[name].owner: caller for name, caller in self._callers["happened"].items()
        }
        self.proposers = tuple(self._callers["propose"])
        """Names of those that propose, in the order in which they are asked."""
        self.prunes = bool(self._callers["prune"])
        self.populations = [size for plugin in plugins if isinstance(size := getattr(plugin, "population", None), int)]

    def _register(self, spec: PluginSpec, plugin: object) -> None:
        try:
            self._manager.register(plugin, name=spec.name)
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(f"plugin {spec.owner}: {one_line(error)}") from error
        for caller in self._manager.get_hookcallers(plugin) or ():
            optional = all(it.optionalhook for it in caller.get_hookimpls() if it.plugin is plugin)
            if not caller.has_spec() and not optional:
                hint = nearest(caller.name, _HOOKS, "hooks")
                raise PluginError(f"plugin {spec.owner} marks {caller.name!r} with @hookimpl, which is no hook{hint}")

    def _hook_callers(self, hook: str) -> dict[str, pluggy.HookCaller]:
        everyone = list(self._manager.list_name_plugin())
        hooked = {impl.plugin_name for impl in getattr(self._manager.hook, hook).get_hookimpls()}
        return {
            name: self._manager.subset_hook_caller(
                hook, [other for other_name, other in everyone if other_name != name]
            )
            for name in self.specs
            if name in hooked
        }

    def propose(self, name: str, study: Study, count: int) -> list[Proposal]:
        """One plugin's checked and copied proposals, at most *count*."""
        return self.accept(name, study, count, self.answer(name, study, count))

    def answer(self, name: str, study: Study, count: int) -> Any:
        """What one plugin says when it is asked for *count* proposals, as it is."""
        return self._ask("propose", name, study=study, count=count)

    def accept(self, name: str, study: Study, count: int, answer: Any) -> list[Proposal]:
        """An answer to a request for *count* proposals, checked and copied."""
        if answer is None or isinstance(answer, (str, bytes, Mapping)) or not isinstance(answer, Iterable):
            raise self._nonsense(name, "propose", answer, "a list of proposals")
        answer = list(answer)
        if len(answer) > count:
            raise PluginError(
                f"plugin {self.specs[name].owner} proposed {len(answer)} configurations where {count} were asked for"
            )
        return [self._checked(name, study, proposal) for proposal in answer]

    def observe(self, study: Study, trials: Sequence[Trial]) -> None:
        """Hand newly finished trials to every plugin."""
        for name in self._callers["observe"]:
            self._ask("observe", name, study=study, trials=trials)

    def stop(self, study: Study) -> str | None:
        """The first reason that any plugin gives to end the study."""
        for name in self._callers["stop"]:
            reason = self._reason("stop", name, study=study)
            if reason is not None:
                return reason
        return None

    def prune(self, study: Study, trial: Trial) -> tuple[str, str] | None:
        """(plugin, reason) of the first that wants this running trial to stop early."""
        for name in self._callers["prune"]:
            reason = self._reason("prune", name, study=study, trial=trial)
            if reason is not None:
                return name, reason
        return None

    def happened(self, study: Study, events: Sequence[Event]) -> None:
        """Tell everybody who listens of each event; one that fails is told of once and dropped."""
        if not self._reporters:
            return
        for event in events:
            for owner, reporter in list(self._reporters.items()):
                try:
                    reporter(study=study, event=event)
                except (Exception, SystemExit):
                    del self._reporters[owner]
                    _logger.warning("reporter %s failed and is dropped", owner, exc_info=True)

    def listen(self, owner: str, reporter: object) -> None:
        """Tell a reporter of this process, such as a progress bar, what `happened`; it is not part of the study."""
        happened = getattr(reporter, "happened", None)
        if callable(happened):
            self._reporters[owner] = happened

    def close(self) -> None:
        """Let plugins give back what they hold (`close`, if they have it); the study is over, so nothing can fail."""
        for name, plugin in self._plugins.items():
            close = getattr(plugin, "close", None)
            if callable(close):
                try:
                    close()
                except (Exception, SystemExit):
                    _logger.warning("plugin %s failed to close", self.specs[name].owner, exc_info=True)

    def _ask(self, hook: str, name: str, **arguments: Any) -> Any:
        try:
            answers = self._callers[hook][name](**arguments)
        except (Exception, SystemExit) as error:
            raise PluginError(f"plugin {self.specs[name].owner} failed in {hook}: {_told(error)}") from error
        return answers[0] if answers else None

    def _reason(self, hook: str, name: str, **arguments: Any) -> str | None:
        reason = self._ask(hook, name, **arguments)
        if reason is None or (isinstance(reason, str) and reason):
            return reason
        raise self._nonsense(name, hook, reason, "a reason or None")

    def _checked(self, name: str, study: Study, proposal: Any) -> Proposal:
        mark = proposal if isinstance(proposal, Proposal) else None
        try:
            hyperparameters = study.problem.space.check(proposal.hyperparameters if mark else proposal)
        except InvalidInput as error:
            raise PluginError(f"plugin {self.specs[name].owner} proposed nonsense: {error}") from error
        if mark is None:
            return Proposal(hyperparameters)
        if mark.fidelity is not None and not (type(mark.fidelity) in (int, float) and 0 < mark.fidelity < math.inf):
            raise PluginError(
                f"plugin {self.specs[name].owner} proposed the fidelity {mark.fidelity!r}, not a number > 0"
            )
        if mark.resume_from is not None and mark.resume_from not in range(len(study.trials)):
            raise PluginError(f"plugin {self.specs[name].owner} proposed to resume from {mark.resume_from!r}, no trial")
        return Proposal(hyperparameters, self._key(name, mark.key), mark.fidelity, mark.resume_from)

    def _key(self, name: str, key: Any) -> Any:
        """A key must survive the journal unchanged, or it would not be the same after a crash."""
        if key is None or type(key) in (int, str):
            return key
        if _is_json(key):
            return _copied(key)
        raise PluginError(
            f"plugin {self.specs[name].owner} proposed the key {key!r}, which is not JSON-able: "
            "use strings, finite numbers, lists and dicts with string keys"
        )

    def _nonsense(self, name: str, hook: str, answer: object, expected: str) -> PluginError:
        return PluginError(f"plugin {self.specs[name].owner} answered {answer!r} to {hook}; {expected} is expected")


def _is_json(value: Any) -> bool:
    if value is None or type(value) in (str, int, bool):
        return True
    if isinstance(value, float):
        return abs(value) < float("inf")
    if type(value) is list:
        return all(map(_is_json, value))
    return type(value) is dict and all(type(key) is str and _is_json(item) for key, item in value.items())


def _copied(value: Any) -> Any:
    if type(value) is list:
        return [_copied(item) for item in value]
    return {key: _copied(item) for key, item in value.items()} if type(value) is dict else value
