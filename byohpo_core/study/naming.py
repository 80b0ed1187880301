"""Names: of studies, of their ids, and of their jobs."""

import re
import secrets
import string

from byohpo_core.errors import InvalidInput
from byohpo_core.validate import text

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
MAX_NAME_LENGTH = 48


def check_study_name(name: str) -> str:
    """The name, if job names can be made from it."""
    text("the job name", name)
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"the job name {name!r} may hold only letters, digits and hyphens inside")
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidInput(f"the job name {name!r} has {len(name)} characters; at most {MAX_NAME_LENGTH} are possible")
    return name


def draw_id(name: str) -> str:
    """A new study's id: its name and four characters, drawn so that a name used again gets other jobs."""
    return f"{name}-{''.join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(4))}"


def job_name(study_id: str, number: int, attempt: int) -> str:
    """The name of a trial's job, at most 63 characters: a function of the three alone, so that no crash makes two."""
    return f"{study_id}-{number}-{attempt}"
