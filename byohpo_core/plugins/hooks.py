"""Call the hooks of a study's plugins and check their answers."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

import pluggy

from byohpo_core.errors import InvalidInput, PluginError, one_line
from byohpo_core.hookspecs import PROJECT, HookSpecs, Traits
from byohpo_core.logger import logger as _logger
from byohpo_core.plugins.finding import ALGORITHMS, PluginSpec
from byohpo_core.plugins.options import described
from byohpo_core.study.events import Event
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Proposal, Trial
from byohpo_core.validate import nearest

_HOOKS = ("propose", "observe", "stop", "prune", "happened")


class StudyPlugins:
    """The plugins of one study. They are called one at a time, in order, so that each answer has a known author."""

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
        """Names of the plugins that propose, in the order in which they are called."""
        self.memoryless = {name for name, plugin in self._plugins.items() if _traits(plugin).memoryless}
        """Names of the plugins that a replay leaves out."""
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
                raise PluginError(
                    f"plugin {spec.owner} marks {caller.name!r} with @hookimpl, which is not the name of a hook{hint}"
                )

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
        """Ask one plugin for at most *count* proposals; return checked copies."""
        return self.accept(name, study, count, self.answer(name, study, count))

    def answer(self, name: str, study: Study, count: int) -> Any:
        """Ask one plugin for *count* proposals; return its answer unchecked."""
        return self._ask("propose", name, study=study, count=count)

    def accept(self, name: str, study: Study, count: int, answer: Any) -> list[Proposal]:
        """Check and copy a plugin's answer to a request for *count* proposals."""
        if answer is None or isinstance(answer, (str, bytes, Mapping)) or not isinstance(answer, Iterable):
            raise self._nonsense(name, "propose", answer, "a list of proposals")
        answer = list(answer)
        if len(answer) > count:
            raise PluginError(
                f"plugin {self.specs[name].owner} proposed {len(answer)} configurations when asked for {count}"
            )
        return [self._checked(name, study, proposal) for proposal in answer]

    def observe(self, study: Study, trials: Sequence[Trial], *, leave_out: Container[str] = ()) -> None:
        """Pass newly finished trials to every plugin, but for those to *leave_out*."""
        for name in self._callers["observe"]:
            if name not in leave_out:
                self._ask("observe", name, study=study, trials=trials)

    def stop(self, study: Study) -> str | None:
        """Return the first reason that a plugin gives to end the study, or None."""
        for name in self._callers["stop"]:
            reason = self._reason("stop", name, study=study)
            if reason is not None:
                return reason
        return None

    def prune(self, study: Study, trial: Trial) -> tuple[str, str] | None:
        """Return (plugin, reason) of the first plugin that stops this running trial early, or None."""
        for name in self._callers["prune"]:
            reason = self._reason("prune", name, study=study, trial=trial)
            if reason is not None:
                return name, reason
        return None

    def happened(self, study: Study, events: Sequence[Event]) -> None:
        """Pass each event to every reporter. A reporter that fails is logged once and gets no more events."""
        if not self._reporters:
            return
        for event in events:
            for owner, reporter in list(self._reporters.items()):
                try:
                    reporter(study=study, event=event)
                except (Exception, SystemExit):
                    del self._reporters[owner]
                    _logger.warning("reporter %s failed and will get no more events", owner, exc_info=True)

    def listen(self, owner: str, reporter: object) -> None:
        """Add a reporter, such as a progress bar, that has a `happened` hook but is not a plugin of the study."""
        happened = getattr(reporter, "happened", None)
        if callable(happened):
            self._reporters[owner] = happened

    def close(self) -> None:
        """Call `close` of the plugins that have it. Errors are only logged, because the study is over."""
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
            raise PluginError(f"plugin {self.specs[name].owner} failed in {hook}: {described(error)}") from error
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
            if mark:
                study.problem.amount(mark)
        except InvalidInput as error:
            raise PluginError(f"plugin {self.specs[name].owner} made an invalid proposal: {error}") from error
        if mark is None:
            return Proposal(hyperparameters)
        if mark.resume_from is not None and mark.resume_from not in range(len(study.trials)):
            raise PluginError(
                f"plugin {self.specs[name].owner} proposed to resume from {mark.resume_from!r}, which is not a trial"
            )
        return Proposal(hyperparameters, self._key(name, mark.key), mark.fidelity, mark.resume_from)

    def _key(self, name: str, key: Any) -> Any:
        """Return a copy of a key that the journal can store unchanged; otherwise it would differ after a crash."""
        if key is None or type(key) in (int, str):
            return key
        if _is_json(key):
            return _copied(key)
        raise PluginError(
            f"plugin {self.specs[name].owner} proposed the key {key!r}, which JSON cannot hold: "
            "use strings, finite numbers, lists and dicts with string keys"
        )

    def _nonsense(self, name: str, hook: str, answer: object, expected: str) -> PluginError:
        return PluginError(f"plugin {self.specs[name].owner} returned {answer!r} from {hook}, not {expected}")


def _traits(plugin: object) -> Traits:
    traits = getattr(plugin, "traits", None)
    return traits if isinstance(traits, Traits) else Traits()


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
