"""Names: of studies, of their ids, and of their jobs."""

import re
import secrets
import string

from byohpo_core.errors import InvalidInput
from byohpo_core.validate import text

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
_NAME_LENGTH = 48


def check_study_name(name: str) -> str:
    """The name, if job names can be made from it."""
    text("the job name", name)
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"the job name {name!r} may hold only letters, digits and hyphens inside")
    if len(name) > _NAME_LENGTH:
        raise InvalidInput(f"the job name {name!r} has {len(name)} characters; at most {_NAME_LENGTH} are possible")
    return name


def _draw_id(name: str) -> str:
    return f"{name}-{''.join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(4))}"
