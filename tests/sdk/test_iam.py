"""The page about permissions explains exactly what the policy allows."""

import json
import re
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "sagemaker"


def test_every_action_of_the_policy_is_explained_and_no_other():
    """One row an action, and none of them with a wildcard."""
    allowed = []
    for statement in json.loads((FOLDER / "iam-policy.json").read_text())["Statement"]:
        action = statement["Action"]
        allowed += [action] if isinstance(action, str) else action
    explained = re.findall(r"^\| `(\S+:\S+)` \|", (FOLDER / "iam.md").read_text(), re.MULTILINE)
    assert sorted(explained) == sorted(allowed)
    assert not any("*" in action for action in allowed)
