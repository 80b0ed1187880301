"""docs/asynchronous.md, run as it stands."""

import re
import runpy
from pathlib import Path

from studies import ROOT


def test_the_page_about_it_runs(capsys):
    """Its example, and what that prints."""
    page = ROOT / "docs" / "asynchronous.md"
    (block,) = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    Path("page.py").write_text(block)
    runpy.run_path("page.py", run_name="__main__")
    hours = [float(number) for number in re.findall(r"[\d.]+", capsys.readouterr().out)]
    assert 2 * hours[0] < hours[1]
