"""Where a journal is decides how SQLite writes it."""

from pathlib import Path

import pytest
from inside import command, is_on_network


@pytest.mark.parametrize(
    ("line", "network"),
    [
        ("server:/home /mnt/a\\040b nfs4 rw 0 0", True),
        ("/dev/sda1 /mnt/a\\040b ext4 rw 0 0", False),
        ("host /mnt/a\\040b fuse.sshfs rw 0 0", True),
        ("bucket /mnt/a\\040b fuse.rclone rw 0 0", True),
        ("/dev/sdb1 /mnt/a\\040b fuseblk rw 0 0", False),
        ("host /mnt/a\\040b fuse rw 0 0", True),
        ("shared /mnt/a\\040b vboxsf rw 0 0", True),
        ("shared /mnt/a\\040b virtiofs rw 0 0", True),
        ("host /mnt/a\\040b gpfs rw 0 0", True),
        ("host /mnt/a\\040b beegfs rw 0 0", True),
        ("host /mnt/a\\040b glusterfs rw 0 0", True),
        ("host /mnt/a\\040b ocfs2 rw 0 0", True),
        ("overlay /mnt/a\\040b overlay rw 0 0", False),
        ("tmpfs /mnt/a\\040b tmpfs rw 0 0", False),
    ],
)
def test_a_network_mount_is_known_by_its_kind(line, network):
    """Also at a path with a space, which the kernel writes as an octal number."""
    Path("mounts").write_text(f"/dev/root / ext4 rw 0 0\n{line}\nserver:/x /mnt/a nfs4 rw 0 0\n")
    assert is_on_network(Path("/mnt/a b/byohpo.db"), Path("mounts")) is network
    assert not is_on_network(Path("/mnt/c/byohpo.db"), Path("mounts"))


def test_without_a_list_of_mounts_all_is_local():
    """As on a system without /proc."""
    assert not is_on_network(Path("byohpo.db"), Path("no-such-file"))


def test_a_command_for_a_journal_whose_name_begins_with_a_hyphen_can_be_typed():
    assert command("-x.db", "studies") == "byohpo studies --journal=-x.db"
    assert command("x y.db", "studies") == "byohpo studies --journal 'x y.db'"
