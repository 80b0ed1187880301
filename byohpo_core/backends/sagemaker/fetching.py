"""Find a study's mirror, at a place on S3 or by the tags of its training jobs, and copy the study into a journal."""

from collections.abc import Iterator

from byohpo_core.backends.sagemaker import index
from byohpo_core.backends.sagemaker.aws import SEARCHES_PER_SECOND, Aws, WallClock
from byohpo_core.backends.sagemaker.mirror import Mirror, studies_at
from byohpo_core.backends.sagemaker.request import NAME_TAG, STUDY_TAG
from byohpo_core.errors import ByohpoError, InvalidInput, StudyExists, UnknownStudy
from byohpo_core.journal.log import EventLog
from byohpo_core.journal.studies import Journal

_SEARCH_ATTEMPTS = 3
"""Only a few, since the name may just be misspelt."""


def fetch(journal: Journal, name: str, aws: Aws | None, place: str | None) -> EventLog | None:
    """Copy a study that this journal lacks from its mirror below a *place* on S3, or where its jobs' tags lead.

    Returns None if there is no mirror. Raises `UnknownStudy` if several studies have this name, or if searching or
    reading fails, for example without credentials. Raises `StudyExists` if the journal has another study of the name.
    """
    if place is not None and not place.startswith("s3://"):
        raise InvalidInput(f"mirror is {place!r}, not a place on S3 such as s3://bucket/results")
    aws = aws or Aws(None, WallClock(), calls_per_second=SEARCHES_PER_SECOND, first_attempts=_SEARCH_ATTEMPTS)
    try:
        outputs = dict(_tagged(aws, name)) if place is None else dict.fromkeys(studies_at(aws, place, name), place)
    except ByohpoError as error:
        raise UnknownStudy(f"{_unknown(journal, name)}; looking for it on SageMaker failed: {error}") from error
    if not outputs:
        return None
    if len(outputs) > 1:
        raise UnknownStudy(f"several studies are named {name!r}: attach to one by its id: {', '.join(sorted(outputs))}")
    ((study_id, output),) = outputs.items()
    mirror = Mirror(aws, output, study_id)
    try:
        record = mirror.record()
        events = [event for commit in mirror.commits() for event in mirror.events(commit)]
    except ByohpoError as error:
        raise UnknownStudy(f"study {study_id!r} cannot be read from {mirror}: {error}") from error
    try:
        return journal.take(record, events)
    except StudyExists as error:
        raise StudyExists(
            f"journal {journal.path} has another study named {record.name!r}: attach to {record.id!r} with another "
            "journal=..."
        ) from error


def _unknown(journal: Journal, name: str) -> str:
    """The journal's own message about a study that it lacks."""
    try:
        return f"journal {journal.path} now has study {journal.find(name).id!r}"
    except UnknownStudy as unknown:
        return str(unknown)


def _tagged(aws: Aws, name: str) -> Iterator[tuple[str, str]]:
    """Pairs (study id, output path) of the studies with this name or id."""
    for job in index.search(aws, [index.tagged(tag, name) for tag in (STUDY_TAG, NAME_TAG)], "Or"):
        tags = {tag["Key"]: tag["Value"] for tag in job.get("Tags", ())}
        if STUDY_TAG in tags:
            yield tags[STUDY_TAG], job["OutputDataConfig"]["S3OutputPath"]
