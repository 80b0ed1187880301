"""Read the logs of training jobs from CloudWatch, with one call for all jobs of a study."""

from collections.abc import Iterator, Mapping
from typing import Any

from byohpo_core.backends.sagemaker.aws import Aws, Refused

GROUP = "/aws/sagemaker/TrainingJobs"
OVERLAP_SECONDS = 120.0
"""How long after a newer event an older one may still appear."""


def job_lines(aws: Aws, job_name: str) -> Iterator[bytes]:
    """All lines that one job has printed, oldest first."""
    return (_line(event) for event in _events(aws, f"{job_name}/", 0.0))


def place(job_name: str) -> str:
    """Where users find a job's log."""
    return f"CloudWatch {GROUP} {job_name}/"


class LogReader:
    """Read new lines of all jobs whose names start with *prefix*, continuing where the last read stopped."""

    def __init__(self, aws: Aws, prefix: str) -> None:
        self._aws = aws
        self._prefix = prefix
        self._newest = 0.0
        self._seen: dict[str, float] = {}
        """The times of the most recent events, by event id."""

    def read(self) -> Iterator[tuple[str, bytes]]:
        """New pairs (job name, line)."""
        since = self._newest - OVERLAP_SECONDS
        for event in _events(self._aws, self._prefix, since):
            time = event["timestamp"] / 1000
            self._newest = max(self._newest, time)
            if event["eventId"] not in self._seen:
                self._seen[event["eventId"]] = time
                yield event["logStreamName"].partition("/")[0], _line(event)
        oldest = self._newest - OVERLAP_SECONDS
        self._seen = {event: time for event, time in self._seen.items() if time >= oldest}


def _line(event: Mapping[str, Any]) -> bytes:
    """What was printed, in the form of a local log."""
    return f"{event['message']}\n".encode(errors="replace")


def _events(aws: Aws, prefix: str, since: float) -> Iterator[dict[str, Any]]:
    """Events from a Unix time on. An empty page may still have a next page."""
    request = {"logGroupName": GROUP, "logStreamNamePrefix": prefix, "startTime": max(0, int(since * 1000))}
    token: str | None = None
    while True:
        try:
            page = aws.call("logs", "filter_log_events", **request, **({"nextToken": token} if token else {}))
        except Refused as refusal:
            if refusal.code == "ResourceNotFoundException":  # no job has printed anything yet
                return
            raise
        yield from page.get("events", ())
        token = page.get("nextToken")
        if not token:
            return
