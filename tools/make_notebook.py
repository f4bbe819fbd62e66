"""Make examples/tutorial.ipynb of docs/tutorial.md: its prose and code as cells, run from top to bottom, with what they show.

pip install nbclient ipykernel
python tools/make_notebook.py
"""

import json
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
NOTEBOOK = ROOT / "examples" / "tutorial.ipynb"


def parts(page: str) -> list[tuple[str, str]]:
    """The page as ("markdown" or "code", text), in order."""
    found = re.split(r"```python\n(.*?)```\n", page, flags=re.DOTALL)
    kinds = ["markdown", "code"] * len(found)
    return [(kind, text.strip()) for kind, text in zip(kinds, found, strict=False) if text.strip()]


def made(page: str) -> nbformat.NotebookNode:
    """The notebook, not run."""
    # Links lead from docs/; the notebook is in examples/.
    moved = page.replace("](automm.md)", "](../docs/automm.md)").replace("](../examples/", "](")
    make = {"markdown": new_markdown_cell, "code": new_code_cell}
    cells = [make[kind](text, id=f"cell-{place}") for place, (kind, text) in enumerate(parts(moved))]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def run(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Run it in an empty folder; raises where a cell does."""
    with TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, record_timing=False, coalesce_streams=True, resources={"metadata": {"path": folder}}
        )
        return client.execute()


def main() -> None:
    notebook = run(made(PAGE.read_text("utf-8")))
    notebook.metadata["language_info"] = {"name": "python"}  # not which version ran it here
    NOTEBOOK.parent.mkdir(exist_ok=True)
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
