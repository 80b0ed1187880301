"""Checks of the options: wrong values are refused, right ones have an effect, all are documented."""

import copy
import inspect
from typing import Any

import attrs

from byohpo_core.errors import ByohpoError, InvalidInput
from byohpo_core.plugins.options import build, option_parameters
from byohpo_core.study.problem import Problem
from byohpo_core.testing.algorithm import CUBE, Judge, Subject, constant, sometimes_failing, sphere
from byohpo_core.testing.check import NO_NUMERIC_OPTION, Finding, NotApplicableError, advise, applicable, check, expect
from byohpo_core.testing.rehearsal import rehearse

_ODD = (-1, 0, 1, 2, 3, 0.5, -0.5, 100, -1000)
"""Numbers that a numeric option must refuse or work with."""
_CHECK_IT = "check the value in the constructor, for example with byohpo_core.option"


def _options(subject: Subject) -> dict[str, inspect.Parameter]:
    return dict(option_parameters(subject.found.plugin) or {})


def _numeric(subject: Subject) -> dict[str, Any]:
    """Options whose value is a number, with that value: as given, as the signature says, or as the instance has it."""
    plugin = build(subject.found, subject.problem(CUBE, jobs=40), subject.options)
    try:
        values = {
            name: subject.options.get(name, it.default if _is_number(it.default) else getattr(plugin, name, None))
            for name, it in _options(subject).items()
        }
    finally:
        _close(plugin)
    return {name: value for name, value in values.items() if _is_number(value)}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _takes_numbers(subject: Subject) -> list[str]:
    """Numeric options, including those that are None by default and annotated as `int | None` or `float | None`."""
    unset = [
        name
        for name, it in _options(subject).items()
        if it.default is None and it.annotation in (int | None, float | None, "int | None", "float | None")
    ]
    return list(dict.fromkeys([*_numeric(subject), *unset]))


def _close(plugin: Any) -> None:
    if callable(getattr(plugin, "close", None)):
        plugin.close()


def _refused(subject: Subject, **options: Any) -> bool:
    """Whether the constructor raises `InvalidInput` for these options."""
    try:
        _close(build(subject.found, subject.problem(CUBE, jobs=40), {**subject.options, **options}))
    except InvalidInput:
        return True
    except ByohpoError as error:
        raise Finding(
            did=f"built it with {options}", seen=f"{error}", expected="InvalidInput, TypeError or ValueError"
        ) from error
    return False


@check("options")
def refuses_an_unknown_option(subject: Subject) -> None:
    """The constructor refuses an option that it does not have."""
    mend = "do not take **options"
    expect(_refused(subject, populatoin=7), did=_with("populatoin", 7), seen=_ACCEPTED, expected=_REFUSED, mend=mend)


_ACCEPTED, _REFUSED = "the constructor accepts it", "InvalidInput, TypeError or ValueError"


def _with(name: str, value: object) -> str:
    return f"built it with {name}={value!r}"


@check("options")
def refuses_what_is_not_a_number(subject: Subject) -> None:
    """The constructor refuses a text, a list and NaN for a numeric option, or the algorithm works with it."""
    names = _takes_numbers(subject)
    applicable(names, NO_NUMERIC_OPTION)
    for name in names:
        for value in ("many", [1, 2, 3], float("nan")):
            _refuses_or_works(subject, name, value)


@check("options")
def refuses_or_bears_odd_numbers(subject: Subject) -> None:
    """The constructor refuses an unusual number as the value of an option, or the algorithm works with it."""
    names = _takes_numbers(subject)
    applicable(names, NO_NUMERIC_OPTION)
    for name in names:
        for value in _ODD:
            _refuses_or_works(subject, name, value)


def _refuses_or_works(subject: Subject, name: str, value: Any) -> None:
    """Expect that a value which the constructor accepts lets a study spend its budget."""
    if _refused(subject, **{name: value}):
        return
    try:
        with rehearse(subject, subject.problem(CUBE, jobs=24), **{name: value}) as rehearsal:
            made = rehearsal.run()
    except Finding as error:
        raise Finding(did=_with(name, value), seen=error.seen, expected=_REFUSED, mend=_CHECK_IT) from error
    jobs = rehearsal.problem.max_jobs
    expect(
        made == jobs or subject.traits.finite,
        did=_with(name, value),
        seen=f"it stops proposing after {made} of {jobs} trials",
        expected=f"{jobs} trials, or {_REFUSED}",
        mend=_CHECK_IT,
    )


@check("options")
def refuses_the_impossible(subject: Subject) -> None:
    """At least one numeric option refuses the value -1000."""
    numeric = list(_numeric(subject))
    applicable(numeric, NO_NUMERIC_OPTION)
    advise(
        any(_refused(subject, **{name: -1000}) for name in numeric),
        f"none of the options {', '.join(numeric)} refuses -1000; give them a minimum with byohpo_core.option",
    )


@check("options")
def takes_its_defaults(subject: Subject) -> None:
    """Passing the default value of an option does not change the proposals."""
    defaults = {name: it.default for name, it in _options(subject).items() if _is_number(it.default)}
    applicable(defaults, NO_NUMERIC_OPTION)
    problem = subject.problem(CUBE, jobs=40)
    plain = _outcome(subject, problem)
    for name, value in defaults.items():
        given = _outcome(subject, problem, **({name: value} | subject.options))
        did = f"passed the default {name}={value!r}"
        expect(given == plain, did=did, seen="other proposals", expected="the same proposals")


def _outcome(subject: Subject, problem: Problem, judge: Judge = sphere, **options: Any) -> tuple[Any, ...]:
    """The proposals of a study, and when the algorithm would stop it."""
    with rehearse(subject, problem, **options) as rehearsal:
        stops: list[str | None] = []
        for _ in range(4):
            rehearsal.run(judge, until=(len(stops) + 1) * problem.max_jobs // 4)
            stops.append(rehearsal.stop())
        return rehearsal.configurations, stops


@check("options")
def minds_its_options(subject: Subject) -> None:
    """At least half of the numeric options have an effect on the proposals or on `stop` when their value changes."""
    numeric = _numeric(subject)
    applicable(numeric, NO_NUMERIC_OPTION)
    # Some options only matter late in a study, when trials fail, when nothing improves, or with one slot.
    trials = ((60, 4, sphere), (60, 4, constant), (300, 4, sphere), (300, 1, sometimes_failing))
    idle = set(numeric)
    for jobs, slots, judge in trials:
        problem = subject.problem(CUBE, jobs=jobs, slots=slots)
        plain = _outcome(subject, problem, judge)
        idle = {it for it in idle if not _has_effect(subject, it, numeric[it], plain, problem, judge)}
        if 2 * len(idle) <= len(numeric):
            return
    seen = f"no effect of {', '.join(sorted(idle))}"
    expect(False, did="changed the numeric options", seen=seen, expected="other proposals", mend="use or remove them")


def _has_effect(subject: Subject, name: str, value: Any, plain: object, problem: Problem, judge: Judge) -> bool:
    """True if another value of an option changes the outcome of a study."""
    others = dict.fromkeys((value * 2, value / 2, value + 1, value * 10, 0, 1, value + 4, int(value) + 2))
    return any(
        _outcome(subject, problem, judge, **{name: it}) != plain
        for it in others
        if it != value and not _refused(subject, **{name: it})
    )


@check("options")
def leaves_its_options_alone(subject: Subject) -> None:
    """The algorithm does not change the options that it is built with."""
    given = _numeric(subject) | subject.options
    before = copy.deepcopy(given)
    with rehearse(subject, subject.problem(CUBE, jobs=40), **given) as rehearsal:
        rehearsal.run()
    expect(given == before, did=f"passed {before}", seen=f"{given} later", expected="no change", mend="copy them")


@check("options")
def says_what_its_options_mean(subject: Subject) -> None:
    """Each option of an attrs class has a help text, which `byohpo info` shows."""
    plugin = subject.found.plugin
    if not isinstance(plugin, type) or not attrs.has(plugin):
        raise NotApplicableError("the algorithm is not an attrs class")
    fields = {it.alias or it.name: it for it in attrs.fields(plugin)}
    for name in _options(subject):
        told = fields[name].metadata.get("help") if name in fields else True
        mend = "add one with byohpo_core.option(help=...)"
        expect(told, did=f"looked at the option {name}", seen="no help text", expected="one", mend=mend)


@check("options")
def says_what_it_is(subject: Subject) -> None:
    """The class has a docstring; `byohpo info` shows its first sentence."""
    told = (subject.found.plugin.__doc__ or "").strip()
    expect(told, did="looked at the class", seen="no docstring", expected="one", mend="describe it in one sentence")
