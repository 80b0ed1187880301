"""Find a study's mirror, at a place on S3 or by the tags of its training jobs, and copy the study into a journal.

Anybody who may tag a training job in the account could name a place. A mirror is therefore read only at a place that
the user names or that SageMaker uses by default, only from a bucket of this account, and only if it is the mirror of
SageMaker jobs whose outputs are at that very place.
"""

import re
import shlex
from collections.abc import Iterator, Sequence

from byohpo_core.backends.sagemaker import index
from byohpo_core.backends.sagemaker.aws import SEARCHES_PER_SECOND, Aws, WallClock
from byohpo_core.backends.sagemaker.mirror import Mirror, studies_at
from byohpo_core.backends.sagemaker.request import NAME_TAG, STUDY_TAG
from byohpo_core.errors import ByohpoError, InvalidInput, UnknownStudy
from byohpo_core.journal.log import EventLog, StudyRecord
from byohpo_core.journal.studies import Journal

_SEARCH_ATTEMPTS = 3
"""Only a few, since the name may just be misspelt."""


def fetch(
    journal: Journal, name: str, aws: Aws | None, place: str | None, outputs: Sequence[str] = ()
) -> EventLog | None:
    """Copy a study that this journal lacks from its mirror below a *place* on S3, or where its jobs' tags lead.

    Tags may lead to the user's own *outputs* and to SageMaker's default bucket. Returns None if there is no mirror.
    Raises `UnknownStudy` if several studies have this name, if the mirror is not what it should be, or if searching or
    reading fails, for example without credentials.
    """
    if place is not None and not place.startswith("s3://"):
        raise InvalidInput(f"mirror is {place!r}, not a place on S3 such as s3://bucket/results")
    aws = aws or Aws(None, WallClock(), calls_per_second=SEARCHES_PER_SECOND, first_attempts=_SEARCH_ATTEMPTS)
    try:
        if place is None:
            found = dict(_tagged(aws, name))
            account = aws.account() if found else ""
        else:
            account = aws.account()
            found = dict.fromkeys(studies_at(aws, place, name, account), place)
        if not found:
            return None
        if len(found) > 1:
            raise UnknownStudy(
                f"several studies are named {name!r}: attach to one by its id: {', '.join(sorted(found))}"
            )
        ((study_id, output),) = found.items()
        if place is None and not (is_default(output, account) or any(within(output, mine) for mine in outputs)):
            raise UnknownStudy(
                f"the jobs of study {study_id!r} name the place {output!r}, which none of your settings does; if it is "
                f"yours, give it: --mirror {shlex.quote(output)}, or mirror= in Python"
            )
    except UnknownStudy:
        raise
    except ByohpoError as error:
        raise UnknownStudy(f"looking for study {name!r} on SageMaker failed: {error}") from error
    mirror = Mirror(aws, output, study_id, owner=account)
    try:
        record = _record(mirror, study_id, output)
        events = [*mirror.read(record)]
    except UnknownStudy:
        raise
    except ByohpoError as error:
        raise UnknownStudy(f"study {study_id!r} cannot be read from {mirror}: {error}") from error
    return journal.take(record, events)


def _record(mirror: Mirror, study_id: str, output: str) -> StudyRecord:
    """The study in a mirror; raises `UnknownStudy` unless it is this one, whose jobs have their outputs there."""
    expected = {"id": study_id, "name": study_id.rpartition("-")[0], "kind": "sagemaker", "output": output.rstrip("/")}
    try:
        record = mirror.record()
        backend = record.manifest["backend"]
        place = backend["request"]["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        if {"id": record.id, "name": record.name, "kind": backend["kind"], "output": place} == expected:
            return record
    except (KeyError, TypeError, AttributeError, ValueError):
        pass
    raise UnknownStudy(f"{mirror} is not the mirror of SageMaker jobs of study {study_id!r} with their outputs there")


def within(output: str, place: str) -> bool:
    """True if an output path is at a place on S3, or below it."""
    return f"{output.rstrip('/')}/".startswith(f"{place.rstrip('/')}/")


def is_default(output: str, account: str) -> bool:
    """True for the account's bucket that SageMaker's SDK uses by default, sagemaker-REGION-ACCOUNT.

    Source: sagemaker.Session.default_bucket, https://sagemaker.readthedocs.io/en/stable/api/utility/session.html
    """
    return re.match(rf"s3://sagemaker-[a-z0-9-]+-{account}(/|$)", output) is not None


def _tagged(aws: Aws, name: str) -> Iterator[tuple[str, str]]:
    """Pairs (study id, output path) of the studies with this name or id."""
    for job in index.search(aws, [index.tagged(tag, name) for tag in (STUDY_TAG, NAME_TAG)], "Or"):
        tags = {tag["Key"]: tag["Value"] for tag in job.get("Tags", ())}
        if STUDY_TAG in tags:
            yield tags[STUDY_TAG], job["OutputDataConfig"]["S3OutputPath"]
