"""The security page names a test for each promise."""

import re

from studies import ROOT

NAMED = re.findall(r"`((?:tests|plugins)/[^`]+)`", (ROOT / "docs/security.md").read_text(encoding="utf-8"))


def test_the_tests_that_it_names_are_there():
    """The session `security` runs them."""
    assert [path for path in NAMED if path.endswith(".py") and not (ROOT / path).is_file()] == []


def test_it_names_all_tests_of_security():
    """None of them is for a promise that is not on the page."""
    there = [*ROOT.glob("tests/security/test_*.py"), *ROOT.glob("plugins/*/tests/test_security_*.py")]
    assert {str(path.relative_to(ROOT)) for path in there} <= {*NAMED}
