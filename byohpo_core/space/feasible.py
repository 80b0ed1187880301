"""Find configurations that obey the constraints of a space, near a wish, by branch and bound.

A box is a range of each parameter that a constraint depends on. The sum of a constraint is smallest and largest at
corners of a box, so a box in which it cannot hold is left out, and another one is halved, the half near the wish first.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from byohpo_core.errors import InvalidInput
from byohpo_core.space.conditions import active_part
from byohpo_core.space.constraints import Constraint
from byohpo_core.space.parameters import CategoricalParameter, ContinuousParameter, Tunable
from byohpo_core.validate import nearest

MOST_BOXES = 20_000
"""So many boxes are looked at before a space is refused, because no configuration was found that obeys."""
_BOXES_NEARBY = 400
"""So many boxes are looked at for a configuration near a wish, before the one that is known is taken."""
_SMALLEST = 2.0**-46
"""A smaller range of a coordinate is not halved."""
_SLIDES = 10
_BISECTIONS = 50

_Box: TypeAlias = Mapping[str, tuple[Any, Any]]
"""The first and the last place of each parameter."""
_Values: TypeAlias = dict[str, Any]


@attrs.frozen
class _Axis:
    """A parameter's values by their places: an index for a discrete parameter, else a coordinate."""

    parameter: Tunable
    values: Sequence[Any] | None
    """None if continuous."""

    @classmethod
    def of(cls, parameter: Tunable) -> "_Axis":
        return cls(parameter, None if isinstance(parameter, ContinuousParameter) else parameter.listed())

    @property
    def whole(self) -> tuple[Any, Any]:
        return (0.0, 1.0) if self.values is None else (0, len(self.values) - 1)

    def place(self, value: Any) -> Any:
        if self.values is None:
            return self.parameter.encode(value)
        return self.values.index(value) if isinstance(self.values, tuple) else int(value) - self.values[0]

    def value(self, place: Any) -> Any:
        return self.parameter.decode(place) if self.values is None else self.values[place]

    def span(self, first: Any, last: Any) -> tuple[float, float]:
        """The lowest and the highest value of a range of places."""
        if isinstance(self.values, tuple):
            return min(self.values[first : last + 1]), max(self.values[first : last + 1])
        return self.value(first), self.value(last)

    def share(self, first: Any, last: Any) -> float:
        """How much of the unit interval is between two places; 0 for a single one."""
        if self.values is None:
            return float(last - first)
        encode = self.parameter.encode
        return encode(self.values[last]) - encode(self.values[first])

    def halves(self, first: Any, last: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        if self.values is None:
            middle = (first + last) / 2
            return (first, middle), (middle, last)
        middle = (first + last) // 2
        return (first, middle), (middle + 1, last)

    def only(self, first: Any, last: Any, values: Sequence[Any]) -> bool:
        """True if a range of places has no other values than these."""
        if self.values is None or last - first >= len(values):
            return False
        return all(value in values for value in self.values[first : last + 1])


class Region:
    """The part of a space that its constraints allow. Raises `InvalidInput` if none is found."""

    def __init__(
        self, ordered: Mapping[str, Tunable], static: Mapping[str, Any], constraints: Sequence[Constraint]
    ) -> None:
        self._constraints, self._static = constraints, static
        for constraint in constraints:
            _check_names(constraint, ordered, static)
        named = {name for constraint in constraints for name in constraint.coefficients}
        for name, parameter in reversed(list(ordered.items())):  # children first
            if name in named:
                named.update(parameter.when or ())
        self._ordered = {name: it for name, it in ordered.items() if name in named}
        self._axes = {name: _Axis.of(it) for name, it in self._ordered.items()}
        self._fixed = {name: (value, value) for name, value in static.items()}
        self._known = self._first()

    def allows(self, active: Mapping[str, Any]) -> bool:
        """True if the values of the active parameters obey every constraint."""
        values = {**active, **self._static} if self._static else active
        return all(constraint.allows(values) for constraint in self._constraints)

    def nearest(self, values: Mapping[str, Any]) -> _Values:
        """Return values that obey, near those given; other parameters keep theirs."""
        found = self._slid(values) or self._search(values, _BOXES_NEARBY)[0] or self._known
        return {**values, **self._towards(self._restored(found, values), values)}

    def _first(self) -> _Values:
        """Any values that obey."""
        middle = {name: it.decode(0.5) for name, it in self._ordered.items()}
        found, proved = self._search(middle, MOST_BOXES)
        if found is None:
            told = "; ".join(map(str, self._constraints))
            if proved:
                raise InvalidInput(f"no configuration obeys the constraints: {told}")
            raise InvalidInput(f"no configuration that obeys was found, though there may be one: {told}; relax a bound")
        return found

    def _search(self, wish: Mapping[str, Any], most: int) -> tuple[_Values | None, bool]:
        """Values that obey, near the wish; or None, and whether it is proved that there are none."""
        places = {name: axis.place(wish[name]) for name, axis in self._axes.items()}
        boxes: list[_Box] = [{name: axis.whole for name, axis in self._axes.items()}]
        proved = True
        for _ in range(most):
            if not boxes:
                return None, proved
            box = boxes.pop()
            if not self._may_allow(box):
                continue
            for choose in (_clipped, _middle):
                values = {name: axis.value(choose(places[name], *box[name])) for name, axis in self._axes.items()}
                if self._obeyed(values):
                    return values, True
            shares = {name: axis.share(*box[name]) for name, axis in self._axes.items()}
            widest = max(shares, key=shares.__getitem__)
            if shares[widest] > _SMALLEST:
                boxes += self._halves(box, widest, places[widest])
            else:
                proved = False
        return None, False

    def _halves(self, box: _Box, name: str, wish: Any) -> list[_Box]:
        """Both halves of a box, that near the wish last, since the last box is looked at first."""
        low, high = self._axes[name].halves(*box[name])
        ranges = (high, low) if wish <= low[1] else (low, high)
        return [{**box, name: one} for one in ranges]

    def _may_allow(self, box: _Box) -> bool:
        """False if every point of a box breaks a constraint."""
        active = self._surely_active(box)
        return all(
            constraint.may_allow(spans)
            for constraint in self._constraints
            if (spans := self._spans(constraint, active, box)) is not None
        )

    def _spans(self, constraint: Constraint, active: set[str], box: _Box) -> dict[str, tuple[float, float]] | None:
        """The ranges of a constraint's values, if it applies in the whole box."""
        names = [name for name in constraint.coefficients if name not in self._fixed]
        if not active.issuperset(names):
            return None
        return {**self._fixed, **{name: self._axes[name].span(*box[name]) for name in names}}

    def _surely_active(self, box: _Box) -> set[str]:
        """The parameters that are active in the whole box."""
        active: set[str] = set()
        for name, parameter in self._ordered.items():
            conditions = (parameter.when or {}).items()
            if all(parent in active and self._axes[parent].only(*box[parent], values) for parent, values in conditions):
                active.add(name)
        return active

    def _obeyed(self, values: Mapping[str, Any]) -> bool:
        return self.allows(active_part(self._ordered, values))

    def _obeyed_strictly(self, values: Mapping[str, Any]) -> bool:
        active = self._with_fixed(values)
        return not any(constraint.side(active, strict=True) for constraint in self._constraints)

    def _with_fixed(self, values: Mapping[str, Any]) -> _Values:
        return {**active_part(self._ordered, values), **self._static}

    def _slid(self, values: Mapping[str, Any]) -> _Values | None:
        """Values that obey, if they are found by moving across the bounds of broken constraints in turn."""
        found = {name: values[name] for name in self._ordered}
        for _ in range(_SLIDES):
            active = self._with_fixed(found)
            broken = next((it for it in self._constraints if not it.allows(active)), None)
            if broken is None:
                return found
            found |= self._across(broken, active)
        return None

    def _across(self, constraint: Constraint, active: Mapping[str, Any]) -> _Values:
        """Values on the bound of a broken constraint, straight ahead in the unit cube, if its numbers reach it."""
        slopes = {name: slope for name in constraint.coefficients if (slope := self._slope(constraint, name))}
        if not slopes:
            return {}
        side, steepest = constraint.side(active), max(map(abs, slopes.values()))
        starts = {name: self._ordered[name].encode(active[name]) for name in slopes}

        def at(distance: float) -> _Values:
            steps = {name: -side * distance * slope / steepest for name, slope in slopes.items()}
            return {name: self._ordered[name].decode(starts[name] + step) for name, step in steps.items()}

        low, high = 0.0, steepest / min(map(abs, slopes.values()))
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if constraint.side({**active, **at(middle)}, strict=True) == side:
                low = middle
            else:
                high = middle
        return at(high)

    def _slope(self, constraint: Constraint, name: str) -> float:
        """How much a constraint's sum grows along the whole range of a parameter; 0 for categories."""
        if name not in self._axes or isinstance(self._axes[name].values, tuple):
            return 0.0
        first, last = self._axes[name].span(*self._axes[name].whole)
        return constraint.coefficients[name] * (constraint.warped(last) - constraint.warped(first))

    def _restored(self, found: _Values, wish: Mapping[str, Any]) -> _Values:
        """Give each parameter in turn the value that was wished, where that obeys."""
        for name in found:
            if self._obeyed_strictly(changed := {**found, name: wish[name]}):
                found = changed
        return found

    def _towards(self, end: _Values, start: Mapping[str, Any]) -> _Values:
        """Values on the line from *start*, which do not obey, to *end*, which do: as near to the start as obeys."""
        line = {
            name: (it.encode(start[name]), it.encode(end[name]))
            for name, it in self._ordered.items()
            if start[name] != end[name]
        }
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            moved = {name: self._ordered[name].decode(a + middle * (b - a)) for name, (a, b) in line.items()}
            if self._obeyed_strictly({**end, **moved}):
                high, end = middle, {**end, **moved}
            else:
                low = middle
        return end


def _clipped(wish: Any, first: Any, last: Any) -> Any:
    return min(max(wish, first), last)


def _middle(_: Any, first: Any, last: Any) -> Any:
    return (first + last) // 2 if isinstance(first, int) else (first + last) / 2


def _check_names(constraint: Constraint, tunable: Mapping[str, Tunable], static: Mapping[str, Any]) -> None:
    """Raise `InvalidInput` unless each hyperparameter of a constraint is a number, above 0 if it takes logarithms."""
    for name in constraint.coefficients:
        if name not in tunable and name not in static:
            known = nearest(name, [*tunable, *static], "known")
            raise InvalidInput(f"the constraint {constraint} names the unknown hyperparameter {name!r}{known}")
        parameter = tunable.get(name)
        if isinstance(parameter, CategoricalParameter) or parameter is None:
            values = parameter.values if parameter else (static[name],)
        else:
            values = (parameter.min_value, parameter.max_value)
        for value in values:
            if type(value) not in (int, float):
                shown = f"the category {value!r}" if parameter else "its fixed value"  # which may be secret
                raise InvalidInput(f"the constraint {constraint} names {name!r}, but {shown} is not a number")
            if constraint.log and value <= 0:
                raise InvalidInput(
                    f"the constraint {constraint} takes the logarithm of {name!r}, which may be 0 or less"
                )
            if not math.isfinite(len(constraint.coefficients) * constraint.coefficients[name] * value):
                raise InvalidInput(f"the constraint {constraint} is too large to compute: {name!r} has large values")
