"""Mount namespaces, which give each container its own /opt/ml."""

import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

OPT_ML = Path("/opt/ml")
_UNSHARE: tuple[tuple[str, ...], ...] = (("unshare", "--mount"), ("unshare", "--mount", "--map-root-user"))
_ENTER = 'mount --bind "$0" /opt/ml && cd "$1" && shift && unset OLDPWD && exec "$@"'
"""A shell script that runs in the new namespace. Arguments: folder, working directory, command."""


@cache
def mount_command() -> tuple[str, ...] | None:
    """The command that creates a mount namespace, or None if this system does not allow it."""
    try:
        OPT_ML.mkdir(0o700, exist_ok=True)
    except OSError:
        return None
    for unshare in _UNSHARE:
        command = mounted(unshare, Path(tempfile.gettempdir()), Path("/"), ["true"])
        try:
            tried = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - a fixed command
        except OSError:
            return None
        if tried.returncode == 0:
            return unshare
    return None


def mounted(mount: Sequence[str], folder: Path, where: Path, command: Sequence[str]) -> list[str]:
    """Wrap a command: it runs in the directory *where*, with *folder* mounted at /opt/ml."""
    return [*mount, "sh", "-c", _ENTER, str(folder), str(where), *command]
