r"""On how long a text a regular expression is sure to be fast, judged by its form alone.

Matching backtracks. It is slow where the same text can be divided between two quantifiers in many ways: `(a+)+b`,
`.*foo.*=(\d+)`. So the pattern is drawn as a graph of its characters and of what may follow each, and a quantifier is
safe if the next character decides whether it goes on. Whatever this reading does not understand is not safe.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import import_module
from math import prod
from typing import Any

LONGEST = 16 * 1024
"""The longest text on which any regular expression is tried, in bytes."""
_LONGEST_QUADRATIC = 2 * 1024
"""The longest text on which a time that grows with its square is still short: some 40 ms."""
_MOST_CHOICES = 8
"""How many ways to read the same text may come from alternatives such as `(?:train|test)`."""

# A set of characters is a number with one bit for each ASCII character and for each of four kinds of others.
_ASCII = 128
_DIGIT, _WORD, _SPACE, _OTHER = (1 << _ASCII + kind for kind in range(4))
_ALL = (1 << _ASCII + 4) - 1
_EDGE = 1 << _ASCII + 4
"""Stands for the beginning and the end of the text, which is one line."""
_CASELESS = "iIkKsS"
"""The ASCII letters that equal a character outside ASCII if case is ignored."""


class _NotUnderstood(Exception):
    """The pattern has something that this reading does not know."""


def harmless_length(pattern: re.Pattern[str]) -> int:
    """The longest text that this pattern searches fast, in characters; 0 if it may take for ever on a short one."""
    return _judged(pattern.pattern, pattern.flags)


@lru_cache(maxsize=1000)
def _judged(regex: str, flags: int) -> int:
    try:
        # Private, so whatever has changed in it makes a pattern not understood; a test tells it.
        tree = import_module("re._parser").parse(regex, flags)
        graph = _Graph()
        ends = graph.sequence(tree, {0}, flags)
    except (_NotUnderstood, ImportError, AttributeError, TypeError, ValueError, RecursionError):
        return 0
    return graph.harmless_length(ends)


class _Graph:
    """The characters of a pattern and what may follow each. The first node is the search for the pattern's beginning.

    A quantifier is a node that follows itself.
    """

    def __init__(self) -> None:
        self._sets = [_ALL]
        self._follow: list[set[int]] = [set()]

    def sequence(self, items: Iterable[tuple[Any, Any]], entries: set[int], flags: int) -> set[int]:
        """Add items that follow any of the nodes *entries*; return the nodes that they can end with."""
        for operation, argument in items:
            entries = self._item(str(operation), argument, entries, flags)
        return entries

    def _item(self, operation: str, argument: Any, entries: set[int], flags: int) -> set[int]:
        match operation:
            case "MAX_REPEAT" | "MIN_REPEAT":
                least, most, body = argument
                if most == 1:
                    return self.sequence(body, entries, flags) | (entries if least == 0 else set())
                ((inner, what),) = body if len(body) == 1 else [("", None)]
                ends = self._character(str(inner), what, entries, flags)
                for node in ends:
                    self._follow[node].add(node)
                return ends | (entries if least == 0 else set())
            case "SUBPATTERN":
                _, added, removed, body = argument
                return self.sequence(body, entries, (flags | added) & ~removed)
            case "BRANCH":
                return set().union(*(self.sequence(branch, entries, flags) for branch in argument[1]))
            case "ASSERT" | "ASSERT_NOT":
                if _has_repeat(argument[1]):
                    raise _NotUnderstood
                return self._add(_ALL | _EDGE, entries)
            case "AT":
                is_edge = str(argument).startswith(("AT_BEGINNING", "AT_END"))
                return self._add(_EDGE if is_edge else _ALL | _EDGE, entries)
        return self._character(operation, argument, entries, flags)

    def _character(self, operation: str, argument: Any, entries: set[int], flags: int) -> set[int]:
        match operation:
            case "LITERAL":
                characters = _members([(operation, argument)], flags)
            case "NOT_LITERAL":
                characters = _members([("NEGATE", None), ("LITERAL", argument)], flags)
            case "ANY":
                characters = _ALL
            case "IN":
                characters = _members(argument, flags)
            case _:
                raise _NotUnderstood
        return self._add(characters, entries)

    def _add(self, characters: int, entries: set[int]) -> set[int]:
        node = len(self._sets)
        self._sets.append(characters)
        self._follow.append(set())
        for entry in entries:
            self._follow[entry].add(node)
        return {node}

    def harmless_length(self, ends: set[int]) -> int:
        """Judge the finished graph. From *ends* on nothing can fail any more, so that nothing is tried again."""
        retried = [node for node in range(len(self._sets)) if node not in ends]
        quantifiers = [node for node in retried if node in self._follow[node]]
        undecided = [node for node in retried if self._is_undecided(node)]
        open_ended = [node for node in undecided if node in quantifiers]
        choices = prod(len(self._follow[node]) for node in undecided if node not in quantifiers)
        if len(open_ended) > 1 or choices > _MOST_CHOICES:
            return 0
        if any(self._share(first, second) for first in open_ended for second in quantifiers if first != second):
            return 0
        return _LONGEST_QUADRATIC if any(self._share(0, node) for node in quantifiers) else LONGEST

    def _is_undecided(self, node: int) -> bool:
        """Whether the next character does not decide what follows this node."""
        seen = 0
        for follower in self._follow[node]:
            if seen & self._sets[follower]:
                return True
            seen |= self._sets[follower]
        return False

    def _share(self, first: int, second: int) -> bool:
        """Whether a text can pass from one quantifier to another at more than one place."""
        common = self._sets[first] & self._sets[second]
        seen, left = {first}, [first]
        while left:
            fresh = {node for node in self._follow[left.pop()] if self._sets[node] & common} - seen
            if second in fresh:
                return True
            seen |= fresh
            left += fresh
        return False


def _has_repeat(items: Any) -> bool:
    """Whether a look-around has a quantifier or anything else that is not of one length."""
    return any(str(operation) not in ("LITERAL", "NOT_LITERAL", "ANY", "IN", "AT") for operation, _ in items)


def _members(items: Sequence[tuple[Any, Any]], flags: int) -> int:
    """The characters that may be in a set; too many rather than too few."""
    if flags & (re.ASCII | re.LOCALE):
        raise _NotUnderstood
    maybe = surely = 0
    negated = False
    for operation, argument in items:
        match str(operation):
            case "NEGATE":
                negated = True
                continue
            case "LITERAL":
                more, sure = _range(argument, argument)
            case "RANGE":
                more, sure = _range(*argument)
            case "CATEGORY":
                more = sure = _category(str(argument))
            case _:
                raise _NotUnderstood
        maybe, surely = maybe | more, surely | sure
    if negated:
        return _ALL & ~surely
    return _without_case(maybe) if flags & re.IGNORECASE else maybe


def _without_case(characters: int) -> int:
    others = characters & (_WORD | _OTHER)
    for letter in map(chr, range(_ASCII)):
        if characters >> ord(letter) & 1 and letter.isalpha():
            characters |= 1 << ord(letter.swapcase()) | (_WORD if letter in _CASELESS else 0)
    if others:
        characters |= _WORD | _OTHER | sum(1 << ord(letter) for letter in _CASELESS)
    return characters


def _range(first: int, last: int) -> tuple[int, int]:
    """The bits of a range: those that its characters may have, and those that all have."""
    ascii_part = sum(1 << code for code in range(first, min(last + 1, _ASCII)))
    if last < _ASCII:
        return ascii_part, ascii_part
    others = _kind(chr(last)) if first == last else _DIGIT | _WORD | _SPACE | _OTHER
    return ascii_part | others, ascii_part


def _kind(character: str) -> int:
    """The bit of a character that is not ASCII, by the same methods as the categories of `re`."""
    if character.isdecimal():
        return _DIGIT
    if character.isspace():
        return _SPACE
    return _WORD if character.isalnum() else _OTHER


def _category(name: str) -> int:
    characters = [chr(code) for code in range(_ASCII)]
    match name.removeprefix("CATEGORY_").removeprefix("UNI_").removeprefix("NOT_"):
        case "DIGIT":
            found = _DIGIT | sum(1 << ord(it) for it in characters if it.isdecimal())
        case "SPACE":
            found = _SPACE | sum(1 << ord(it) for it in characters if it.isspace())
        case "WORD":
            found = _DIGIT | _WORD | sum(1 << ord(it) for it in characters if it.isalnum() or it == "_")
        case _:
            raise _NotUnderstood
    return _ALL & ~found if "NOT_" in name else found
