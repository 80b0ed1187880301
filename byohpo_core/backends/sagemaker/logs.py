"""What training jobs print, as CloudWatch has it: one call serves all jobs of a study."""

from collections.abc import Iterator
from typing import Any

from byohpo_core.backends.sagemaker.aws import Aws, Refused

GROUP = "/aws/sagemaker/TrainingJobs"
OVERLAP_SECONDS = 120.0
"""How late an event may turn up behind a newer one."""


def job_lines(aws: Aws, job_name: str) -> Iterator[str]:
    """All that one job has printed, oldest first."""
    return (str(event["message"]) for event in _events(aws, f"{job_name}/", 0.0))


def place(job_name: str) -> str:
    """Where a person finds a job's log."""
    return f"CloudWatch {GROUP} {job_name}/"


class LogReader:
    """Reads on where it stopped, over the streams of all jobs whose names begin alike."""

    def __init__(self, aws: Aws, prefix: str) -> None:
        self._aws = aws
        self._prefix = prefix
        self._newest = 0.0
        self._seen: dict[str, float] = {}
        """Events of the last moments, by id."""

    def read(self) -> Iterator[tuple[str, str]]:
        """Pairs (job name, line) that are new."""
        since = self._newest - OVERLAP_SECONDS
        for event in _events(self._aws, self._prefix, since):
            time = event["timestamp"] / 1000
            self._newest = max(self._newest, time)
            if event["eventId"] not in self._seen:
                self._seen[event["eventId"]] = time
                yield event["logStreamName"].partition("/")[0], event["message"]
        oldest = self._newest - OVERLAP_SECONDS
        self._seen = {event: time for event, time in self._seen.items() if time >= oldest}


def _events(aws: Aws, prefix: str, since: float) -> Iterator[dict[str, Any]]:
    """Events from a time on; a page may be empty and yet have a next one."""
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
