"""docs/multi-fidelity.md, run as it stands."""

import re
import runpy
from pathlib import Path

from studies import ROOT


def test_the_page_about_it_runs(capsys):
    """Its script, its study, and what that prints."""
    page = (ROOT / "docs" / "multi-fidelity.md").read_text(encoding="utf-8")
    script, tune = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (output,) = re.findall(r"^```text\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    Path("train.py").write_text(script)
    Path("tune.py").write_text(tune)
    runpy.run_path("tune.py", run_name="__main__")
    told = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert told == output.splitlines()
    assert any("continues" in line for line in told)
