"""The log group of training jobs in CloudWatch Logs."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from byohpo_sagemaker_emulator.errors import ServiceError

GROUP = "/aws/sagemaker/TrainingJobs"
_PAGE = 10_000
"""One call reads at most this many events. So a page may be empty and still have a token."""


class Event(NamedTuple):
    """One line of a log."""

    time: int
    """In milliseconds."""
    number: int
    stream: str
    message: str


class Logs:
    """All lines of the group, sorted by time, as a whole and by stream."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._streams: dict[str, list[Event]] = {}
        self._count = 0

    @property
    def exist(self) -> bool:
        """Whether the group exists, which it does once a container has started."""
        return bool(self._streams)

    def open(self, stream: str) -> None:
        """Create an empty stream, if it does not exist."""
        self._streams.setdefault(stream, [])

    def put(self, stream: str, time: float, message: str) -> None:
        """Add a line. Its *time*, in seconds since 1970, may be earlier than that of lines already in the stream."""
        self._count += 1
        event = Event(int(time * 1000), self._count, stream, message or " ")
        for events in (self._events, self._streams.setdefault(stream, [])):
            if events and event < events[-1]:
                insort(events, event)
            else:
                events.append(event)

    def filter_log_events(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Answer FilterLogEvents: one page of the lines that match the streams, times and words."""
        if "logStreamNames" in parameters and "logStreamNamePrefix" in parameters:
            raise ServiceError("InvalidParameterException", "set logStreamNames or logStreamNamePrefix, not both")
        prefix = parameters.get("logStreamNamePrefix", "")
        names = frozenset(parameters["logStreamNames"]) if "logStreamNames" in parameters else None
        words = _words(parameters.get("filterPattern", ""))
        most = _limit(parameters)
        first = _position(self._events, parameters.get("nextToken"), parameters.get("startTime", 0))
        end = parameters.get("endTime")
        found: list[dict[str, Any]] = []
        position = first
        for position in range(first, min(first + _PAGE, len(self._events))):
            event = self._events[position]
            if len(found) == most or (end is not None and event.time > end):
                break
            named = event.stream.startswith(prefix) and (names is None or event.stream in names)
            if named and all(word in event.message for word in words):
                found.append(_shown(event) | {"logStreamName": event.stream, "eventId": f"{event.number:056d}"})
        else:
            position = min(first + _PAGE, len(self._events))
        answer: dict[str, Any] = {"events": found, "searchedLogStreams": []}
        if position < len(self._events) and (end is None or self._events[position].time <= end):
            answer["nextToken"] = _token(self._events[position])
        return answer

    def get_log_events(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Answer GetLogEvents: one page of a stream, read forwards or backwards."""
        events = self._streams.get(parameters.get("logStreamName", ""))
        if events is None:
            raise _no_stream()
        start, end = parameters.get("startTime", 0), parameters.get("endTime")
        low = bisect_left(events, (start,))
        high = len(events) if end is None else bisect_left(events, (end,))
        most = _limit(parameters)
        direction, _, place = parameters.get("nextToken", "").partition("/")
        if direction == "f":
            low = int(place)
        elif direction == "b":
            high = int(place)
        if direction == "f" or (not direction and parameters.get("startFromHead")):
            high = min(high, low + most)
        else:
            low = max(low, high - most)
        high = max(low, high)
        shown = [_shown(event) for event in events[low:high]]
        return {"events": shown, "nextForwardToken": f"f/{high}", "nextBackwardToken": f"b/{low}"}

    def describe_log_streams(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Answer DescribeLogStreams: one page of the streams with a prefix."""
        prefix = parameters.get("logStreamNamePrefix", "")
        after = parameters.get("nextToken", "")
        names = sorted(name for name in self._streams if name.startswith(prefix) and name > after)
        most = parameters.get("limit", 50)
        answer: dict[str, Any] = {"logStreams": [self._described(name) for name in names[:most]]}
        if len(names) > most:
            answer["nextToken"] = names[most - 1]
        return answer

    def _described(self, name: str) -> dict[str, Any]:
        events = self._streams[name]
        arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}:log-stream:{name}"
        described = {"logStreamName": name, "arn": arn, "uploadSequenceToken": str(len(events)), "storedBytes": 0}
        if events:
            described |= {
                "creationTime": events[0].time,
                "firstEventTimestamp": events[0].time,
                "lastEventTimestamp": events[-1].time,
                "lastIngestionTime": events[-1].time,
            }
        return described


def _no_stream() -> ServiceError:
    return ServiceError("ResourceNotFoundException", "The specified log stream does not exist.")


def _limit(parameters: Mapping[str, Any]) -> int:
    return min(int(parameters.get("limit", _PAGE)), _PAGE)


def _words(pattern: str) -> Iterable[str]:
    if pattern[:1] in ("{", "[", "%", "?", "-"):
        raise ServiceError(
            "InvalidParameterException", f"the emulator supports only plain words in filterPattern, not {pattern!r}"
        )
    return [word.strip('"') for word in pattern.split()]


def _shown(event: Event) -> dict[str, Any]:
    return {"timestamp": event.time, "message": event.message, "ingestionTime": event.time}


def _token(event: Event) -> str:
    return f"{event.time}/{event.number}"


def _position(events: list[Event], token: str | None, start: int) -> int:
    if token is None:
        return bisect_left(events, (start,))
    time, _, number = token.partition("/")
    try:
        return bisect_left(events, (int(time), int(number)))
    except ValueError:
        raise ServiceError("InvalidParameterException", "The specified nextToken is invalid.") from None
