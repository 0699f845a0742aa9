"""What the documents say, held to the results that they are made from."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))


def test_the_readme_shows_what_the_results_hold():
    table = runpy.run_path(str(ROOT / "benchmarks" / "readme_table.py"))["table"]
    assert table() in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_the_documents_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def test_the_plan_of_the_document_is_made(capsys):
    document = (ROOT / "docs" / "many-fields.md").read_text()
    program = re.findall(r"```python\n(.*?)```", document, re.DOTALL)[0]
    exec(compile(program.replace("20_000", "1_000"), "many-fields.md", "exec"), {})
    assert "device_id claimed_rows" in capsys.readouterr().out
