"""Give a trial that continues another a copy of its checkpoints, so that no two trials write to one place.

The copy is made before the trial's first job is created. An object next to the journal's mirror records that it is
complete, so a driver that comes later never copies again over what the job has written since. A driver that was
paused as it copied asks before each object whether another has taken over, whose job may write there by now.
"""

import json
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from byohpo_core.backends.sagemaker.aws import Aws, Refused
from byohpo_core.backends.sagemaker.request import Template, bucket_and_key, place_of
from byohpo_core.study.study import Study
from byohpo_core.study.trial import Trial

LARGEST_COPY = 5 * 1024**3
"""The largest object that CopyObject takes (Amazon S3 API Reference)."""
PART = 1024**3


class Continuing:
    """Copies the checkpoints of trials that others continue."""

    def __init__(self, aws: Aws, template: Template, study: Study) -> None:
        self._aws = aws
        self._places = template.places()
        self._study = study
        self._records = (
            f"{template.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/byohpo/{study.id}/continued"
        )

    def prepare(self, trial: Trial, check_driven: Callable[[], None]) -> None:
        """Copy what this trial continues to its own places, unless that was done before. Call it before each job.

        *check_driven* is called before each object is written. It raises an error if another driver has taken over.
        """
        continued = self._study.continued(trial)
        if continued is None or not self._places or self._is_recorded(trial):
            return
        origin = self._origin(continued)
        pairs = [(place_of(it, self._study, origin), place_of(it, self._study, trial)) for it in self._places]
        for source, target in pairs:
            for key, size in [*self._objects(f"{source}/")]:
                bucket, prefix = bucket_and_key(source)
                to_bucket, to_prefix = bucket_and_key(target)
                copy = {"Bucket": to_bucket, "Key": to_prefix + key.removeprefix(prefix)}
                self._copy({"Bucket": bucket, "Key": key}, size, copy, check_driven)
        bucket, key = bucket_and_key(self._record_of(trial))
        body = json.dumps({"trial": trial.number, "continues": origin.number, "copied": pairs}).encode()
        self._aws.call("s3", "put_object", check_driven, Bucket=bucket, Key=key, Body=body, **self._owned)

    @cached_property
    def _owned(self) -> dict[str, str]:
        """No bucket may have gone to another account since."""
        return {"ExpectedBucketOwner": self._aws.account()}

    def _origin(self, trial: Trial) -> Trial:
        """The trial whose places hold what *trial* has left."""
        continued = self._study.continued(trial)
        if continued is None or self._is_recorded(trial):
            return trial
        # An earlier release let it write to the places of the trial that it continued.
        return self._origin(continued)

    def _record_of(self, trial: Trial) -> str:
        return f"{self._records}/{trial.number}.json"

    def _is_recorded(self, trial: Trial) -> bool:
        return any(self._objects(self._record_of(trial)))

    def _objects(self, uri: str) -> Iterator[tuple[str, int]]:
        """The keys and sizes of the objects whose URIs begin with *uri*."""
        bucket, prefix = bucket_and_key(uri)
        for page in self._aws.listed(Bucket=bucket, Prefix=prefix, **self._owned):
            yield from ((it["Key"], it["Size"]) for it in page.get("Contents", ()))

    def _copy(
        self, source: dict[str, str], size: int, target: dict[str, Any], check_driven: Callable[[], None]
    ) -> None:
        target = {**target, **self._owned}
        origin = {"CopySource": source, "ExpectedSourceBucketOwner": self._owned["ExpectedBucketOwner"]}
        if size <= LARGEST_COPY:
            self._aws.call("s3", "copy_object", check_driven, **origin, **target)
            return
        upload = {**target, "UploadId": self._aws.call("s3", "create_multipart_upload", **target)["UploadId"]}
        parts = []
        for number, first in enumerate(range(0, size, PART), 1):
            span = f"bytes={first}-{min(first + PART, size) - 1}"
            part = self._aws.call("s3", "upload_part_copy", **origin, CopySourceRange=span, PartNumber=number, **upload)
            parts.append({"ETag": part["CopyPartResult"]["ETag"], "PartNumber": number})
        try:
            completed = {"MultipartUpload": {"Parts": parts}, **upload}
            self._aws.call("s3", "complete_multipart_upload", check_driven, **completed)
        except Refused as refusal:
            # S3 no longer knows the upload if an earlier try has completed it and only the answer was lost.
            uri = f"s3://{target['Bucket']}/{target['Key']}"
            if refusal.code != "NoSuchUpload" or (target["Key"], size) not in self._objects(uri):
                raise
