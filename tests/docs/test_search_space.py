"""docs/search-space.md, run as it stands."""

import re
import runpy
from pathlib import Path

from studies import ROOT


def test_the_page_about_the_search_space_runs(capsys):
    """In its example every trial is inside, and some have the conditional parameter."""
    page = ROOT / "docs" / "search-space.md"
    (block,) = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    Path("page.py").write_text(block)
    study = runpy.run_path("page.py", run_name="__main__")["study"]
    given = [trial.hyperparameters for trial in study.trials]
    assert {("rate_drop" in h, h["booster"]) for h in given} == {(False, "gbtree"), (True, "dart")}
    assert all(64 * h["layers"] + h["batch_size"] <= 1024 for h in given)
    assert all(h["batch_size"] * h["learning_rate"] ** -0.5 <= 512 * (1 + 1e-8) for h in given)
    assert len(capsys.readouterr().out.splitlines()) == len(given)
