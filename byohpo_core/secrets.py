"""Secrets: a mark stands in the place of each secret's value in all that byohpo keeps or shows.

A mark is `{"secret": NAME}`. The value is put in its place only where a job is handed over. It comes from what the user
gave, or else from the environment.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from byohpo_core.errors import InvalidInput
from byohpo_core.validate import items, text

_MARK = "secret"
_WORDS = frozenset({"key", "token", "secret", "password"})
_SPLIT = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
"""The words of a name: letters between other characters, or between the borders of camelCase."""


def is_secret(name: str) -> bool:
    """Whether KEY, TOKEN, SECRET or PASSWORD is a whole word of a variable's name: of `API_KEY` and `apiKey`."""
    return not _WORDS.isdisjoint(word.lower() for word in _SPLIT.findall(name))


def mark(name: str) -> dict[str, str]:
    """The mark of a secret."""
    return {_MARK: name}


def marked(value: Any) -> str | None:
    """The name in a mark; None if the value is no mark."""
    name = value.get(_MARK) if isinstance(value, Mapping) and len(value) == 1 else None
    return name if isinstance(name, str) else None


def marked_in(settings: Any) -> Iterator[str]:
    """The names in all marks of settings, as JSON has them."""
    if (name := marked(settings)) is not None:
        yield name
    elif isinstance(settings, (Mapping, list, tuple)):
        for part in settings.values() if isinstance(settings, Mapping) else settings:
            yield from marked_in(part)


class Secrets:
    """The secrets of one study, and the values that this process knows."""

    def __init__(self, listed: Iterable[str] = (), given: Mapping[str, str] | None = None) -> None:
        self._given = dict(given or {})
        self._variables = {*listed}
        """Names that are listed: each that is no hyperparameter is a variable of the jobs' environment."""
        self._named = {*self._variables, *self._given}
        self._hyperparameters: dict[str, Any] = {}
        """The marks of fixed hyperparameters."""
        self._found: dict[str, str] = {}
        """Values in the user's objects."""
        self._used: set[str] = set()

    @classmethod
    def of(cls, secrets: Any) -> "Secrets":
        """The secrets that a user gives: a list of names, or a mapping from names to values."""
        if isinstance(secrets, Mapping):
            return cls.with_values(secrets)
        return cls([text("a name in secrets", name) for name in items("secrets", secrets)])

    @classmethod
    def with_values(cls, secrets: Any) -> "Secrets":
        """The secrets whose values a user gives, as a mapping."""
        if not isinstance(secrets, Mapping):
            raise InvalidInput(f"secrets is of type {type(secrets).__name__}, not a mapping from names to values")
        return cls(given={text("a name in secrets", name): _check_value(name, it) for name, it in secrets.items()})

    @property
    def given(self) -> Collection[str]:
        """The names whose values the user gave."""
        return self._given.keys()

    @property
    def used(self) -> Collection[str]:
        """The names that stand in marks."""
        return self._used

    def known(self) -> dict[str, str]:
        """The values that another process would not find in the environment."""
        return {name: value for name, value in {**self._found, **self._given}.items() if name in self._used}

    def check_tunable(self, names: Iterable[str]) -> None:
        """Raise `InvalidInput` if a parameter that is tuned is to be secret."""
        for name in names:
            if name in self._named:
                raise InvalidInput(
                    f"the hyperparameter {name!r} is tuned, so it cannot be secret: leave it out of secrets"
                )

    def hide_hyperparameters(self, fixed: Mapping[str, Any]) -> dict[str, Any]:
        """Fixed hyperparameters, with marks for those that the user named."""
        secret = {name: self._hide(name, it) for name, it in fixed.items() if name in self._named or marked(it)}
        self._hyperparameters |= secret
        self._variables -= secret.keys()
        return {**fixed, **secret}

    def mark_hyperparameters(self, encoded: Mapping[str, Any]) -> dict[str, Any]:
        """The same hyperparameters as a job's request has them, with marks for those that are hidden."""
        return {name: self._hyperparameters.get(name, it) for name, it in encoded.items()}

    def hide_environment(self, environment: Mapping[str, Any]) -> dict[str, Any]:
        """Variables for jobs, with marks for secrets: by their names, or named by the user or in the study's manifest.

        The user may list variables that are not there. An empty variable hides nothing, unless it is named.
        """
        more = {name: mark(name) for name in sorted(self._variables - environment.keys())}
        named = self._named | self._used
        return {
            name: self._hide(name, it) if (is_secret(name) and it != "") or name in named or marked(it) else it
            for name, it in {**environment, **more}.items()
        }

    def expect(self, backend: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
        """Take the marks in a study's manifest as used: in its backend's description, and in fixed hyperparameters."""
        self._used |= {*marked_in([backend, fixed])}

    def check_used(self) -> None:
        """Raise `InvalidInput` if nothing uses a secret that the user named."""
        if unused := sorted(self._named - self._used):
            raise InvalidInput(
                f"nothing uses {', '.join(map(repr, unused))} of secrets: only variables in the jobs' environment and "
                f"fixed hyperparameters can be secret (these are: {', '.join(sorted(self._used)) or 'none'}); a name "
                "in a list, secrets=[...], becomes a variable"
            )

    def check_known(self) -> None:
        """Raise `InvalidInput`, which names all secrets without a value."""
        if missing := sorted(name for name in self._used if self._value(name) is None):
            raise _missing(missing)

    def reveal(self, settings: Any) -> Any:
        """A copy of settings with the values of secrets in the place of their marks."""
        if (name := marked(settings)) is not None:
            value = self._value(name) if name in self._used else None
            if value is None:
                raise _missing([name])
            return value
        if isinstance(settings, Mapping):
            return {name: self.reveal(it) for name, it in settings.items()}
        return [self.reveal(it) for it in settings] if isinstance(settings, (list, tuple)) else settings

    def _hide(self, name: str, value: Any) -> Any:
        its_name = marked(value)
        if its_name is None:
            self._found[name] = _check_value(name, value)
        self._used.add(its_name or name)
        return value if its_name else mark(name)

    def _value(self, name: str) -> str | None:
        return self._given.get(name, self._found.get(name, os.environ.get(name) or None))


def _check_value(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"the secret {name!r} is of type {type(value).__name__}; only text can be secret")
    return value


def _missing(names: Iterable[str]) -> InvalidInput:
    return InvalidInput(
        f"the study needs secrets whose values are missing: {', '.join(names)}; set variables of these names, or give "
        "secrets={NAME: value} to the Tuner or to Tuner.attach"
    )
