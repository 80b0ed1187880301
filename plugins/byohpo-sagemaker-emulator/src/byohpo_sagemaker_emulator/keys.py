"""The keys that callers sign with: drawn at the start, lent to jobs, or issued by STS."""

import os
import re
import secrets
import string
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock

import attrs

from byohpo_sagemaker_emulator.aws import Response

_CREDENTIALS = re.compile(rb"<AccessKeyId>([^<]+)</AccessKeyId>")
_SECRET = re.compile(rb"(<SecretAccessKey>)[^<]*")
_TOKEN = re.compile(rb"(<SessionToken>)[^<]*")
_EXPIRATION = re.compile(rb"<Expiration>([^<]+)</Expiration>")
_MARK = "# Written by byohpo-emulator, which replaces this file at its next start.\n"


@attrs.frozen
class Key:
    """An access key, its secret and, for temporary keys, the session token that goes with it."""

    id: str
    secret: str = attrs.field(repr=False)
    token: str | None = attrs.field(default=None, repr=False)
    expires: float = float("inf")
    """In seconds since 1970, by the real clock."""

    @classmethod
    def draw(cls) -> "Key":
        """A key that nobody can guess."""
        return cls(f"AKIA{_drawn(16, string.ascii_uppercase)}", _drawn(40))

    @classmethod
    def draw_temporary(cls) -> "Key":
        """A key with a session token, which nobody can guess either."""
        return cls(f"ASIA{_drawn(16, string.ascii_uppercase)}", _drawn(40), _drawn(64))

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Read `ID:SECRET`. Raises ValueError if it is not of that form."""
        found = re.fullmatch(r"(\w{1,128}):([!-~]{1,128})", text, re.ASCII)
        if found is None:
            raise ValueError("keys must be ID:SECRET: letters, digits and _, a colon, and a secret without spaces")
        return cls(found[1], found[2])


class Keyring:
    """All keys that the emulator accepts. It is thread-safe."""

    def __init__(self, own: Key) -> None:
        self.own = own
        self._lock = Lock()
        self._keys: dict[tuple[str, str | None], Key] = {(own.id, own.token): own}

    def find(self, key_id: str, token: str | None) -> Key | None:
        """The key with an id and a session token, or None."""
        return self._keys.get((key_id, token))

    def knows(self, key_id: str) -> bool:
        """Whether there is a key with an id, whatever its token."""
        with self._lock:
            return any(known == key_id for known, _ in self._keys)

    @contextmanager
    def lend(self) -> Iterator[Key]:
        """A temporary key that is accepted while the `with` block runs."""
        key = Key.draw_temporary()
        self._add(key)
        try:
            yield key
        finally:
            with self._lock:
                del self._keys[key.id, key.token]

    def issue(self, response: Response) -> Response:
        """Draw the secret and the token in an answer of STS that contains keys, and accept them from now on.

        Moto's own are no secrets: those of GetSessionToken are the same for everybody.
        """
        found, expires = _CREDENTIALS.search(response.body), _EXPIRATION.search(response.body)
        if found is None or expires is None:
            return response
        drawn = Key.draw_temporary()
        token = str(drawn.token)
        self._add(Key(found[1].decode(), drawn.secret, token, datetime.fromisoformat(expires[1].decode()).timestamp()))
        body = _TOKEN.sub(rb"\g<1>" + token.encode(), _SECRET.sub(rb"\g<1>" + drawn.secret.encode(), response.body))
        return attrs.evolve(response, body=body)

    def _add(self, key: Key) -> None:
        with self._lock:
            self._keys[key.id, key.token] = key


def write_credentials(file: Path, key: Key) -> None:
    """Write a key to a credentials file of the AWS tools that only its owner can read.

    Raises FileExistsError if there is a file that the emulator has not written.
    """
    regular = file.is_file() and not file.is_symlink()
    if os.path.lexists(file) and not (regular and file.read_text(encoding="utf-8", errors="replace").startswith(_MARK)):
        raise FileExistsError(
            f"{file} exists, and the emulator has not written it: name another file for --credentials, or delete it"
        )
    lines = f"{_MARK}[default]\naws_access_key_id = {key.id}\naws_secret_access_key = {key.secret}\n"
    fresh = file.with_name(f".{file.name}.{_drawn(8)}")
    with open(fresh, "x", opener=lambda path, flags: os.open(path, flags, 0o600), encoding="utf-8") as content:
        os.fchmod(content.fileno(), 0o600)
        content.write(lines)
    fresh.replace(file)


def _drawn(length: int, letters: str = string.ascii_letters) -> str:
    return "".join(secrets.choice(letters + string.digits) for _ in range(length))
