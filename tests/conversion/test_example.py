import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_convert_model(capsys):
    runpy.run_path(str(EXAMPLES / "convert_model.py"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("replaced by sketch")
    assert lines[-1].endswith("a table again: Embedding(1000000, 16)")
