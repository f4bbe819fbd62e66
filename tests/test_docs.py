"""What is written down is true: snippets run, commands and options exist and are documented, the public surface is a list."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import glimpse
from glimpse import automm
from glimpse.automm import presets, settings
from glimpse.cli import cli
from glimpse.values import FAILURE_CODES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = (ROOT / "docs" / "command-line.md").read_text("utf-8")


def snippets():
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("snippet", snippets())
def test_snippets_of_the_readme_run(snippet, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {})
    out = capsys.readouterr().out
    if "Collection" in snippet:
        assert "captions.json unsupported-format" in out
        assert "fox-in-the-snow.jpg" in out.splitlines()[-3]
    else:
        assert out == "[1]\n"


def test_every_command_is_documented():
    assert set(re.findall(r"^\| `glimpse (\w+)", COMMANDS, re.MULTILINE)) == set(cli.commands)


def test_every_option_is_documented_where_it_is():
    rows = re.findall(r"^\| (`-.*?) \| (.*?) \|", COMMANDS, re.MULTILINE)
    written = {name: where for names, where in rows for name in re.findall(r"`(-[\w-]+)`", names)}
    real: dict[str, set[str]] = {}
    for command in cli.commands.values():
        for option in command.params:
            if option.param_type_name == "option":
                for name in option.opts:
                    real.setdefault(name, set()).add(command.name)
    assert set(written) == set(real)
    for name, commands in real.items():
        if not written[name].startswith("all"):
            assert set(written[name].split(", ")) == commands, name


def test_commands_named_anywhere_exist():
    pages = [README, *(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md"))]
    named = {name for page in pages for name in re.findall(r"(?:^ +|`)glimpse ([a-z]+)", page, re.MULTILINE)}
    assert named <= set(cli.commands)


def test_every_failure_code_is_documented():
    assert dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|$", COMMANDS, re.MULTILINE)).items() >= FAILURE_CODES.items()


def test_every_setting_of_the_autogluon_face_is_documented():
    page = (ROOT / "docs" / "automm.md").read_text("utf-8")
    named = {*settings._KEYS, *settings._WITHOUT_EFFECT, "model.names", *presets.PROBLEMS}
    assert [name for name in named if f"`{name}`" not in page] == []
    assert [name for name in automm.__all__ if name not in page] == []


def test_links_between_pages_lead_somewhere():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), (page.name, link)


def test_every_dependency_has_its_reason_in_the_readme():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for requirement in project["dependencies"]:
        name = re.match(r"[\w-]+", requirement)[0]
        assert re.search(rf"^\| {name}\b", README, re.MULTILINE), name
    for extra in project["optional-dependencies"]:
        assert f"`{extra}`" in README


def test_the_public_surface_is_a_list():
    assert sorted(glimpse.__all__) == [
        "Collection", "Encoder", "Failure", "Filter", "Hit", "Moment", "Progress", "Report", "Sampling", "SearchFacts", "Selection",
        "errors", "load",
    ]  # fmt: skip
    for name in glimpse.__all__:
        assert getattr(glimpse, name).__doc__
    assert set(dir(glimpse)) >= set(glimpse.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        glimpse.nothing  # noqa: B018


def test_the_tree_in_the_readme_is_the_tree():
    block = re.search(r"    src/glimpse/\n((?:      .+\n)+)", README)[1]
    for name in re.findall(r"^      ([\w./]+)", block, re.MULTILINE):
        assert (ROOT / "src" / "glimpse" / name).exists(), name


def imports(path: Path) -> set[str]:
    """Modules of glimpse that a file imports, as dotted names without the package's."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "glimpse":
            inner = node.module.removeprefix("glimpse").lstrip(".")
            found |= {inner} if inner else {alias.name for alias in node.names}
    return found


def test_imports_point_one_way():
    """values, errors ← stages, never each other ← workers, encoder, collection ← pipeline ← outermost."""
    outer = {"cli", "terminal", "export", "health", "sheet", "automm"}
    inner = {
        "pipeline",
        "run",
        "store",
        "collection",
        "encoder",
        "embedding",
        "finding",
        "following",
        "upkeep",
        "listing",
        "watching",
        "workers",
    }
    package = ROOT / "src" / "glimpse"
    for path in package.rglob("*.py"):
        name = ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__")
        heads = {one.split(".")[0] for one in imports(path)}
        if name.split(".")[0] not in outer | {"__main__", "demo"}:
            assert not heads & outer, name
        if name.split(".")[0] in {
            "sources",
            "decoders",
            "models",
            "runtimes",
            "pixels",
            "tokens",
            "search",
            "values",
            "errors",
        }:
            assert not heads & inner, name
        if name.startswith("runtimes."):
            assert heads <= {"runtimes", "values", "errors", "atomic", "__version__"}, name
        if name.startswith("models."):
            assert heads <= {"models", "runtimes", "values", "errors", "layouts", "registry"}, name
        if name.startswith("search."):
            assert heads <= {"values", "errors", "atomic", "search"}, name
        if name.startswith("sources."):
            assert heads <= {"values", "errors", "registry", "sources"}, name
        if name.startswith("decoders."):
            assert heads <= {"values", "errors", "decoders"}, name
        if name.startswith("workers."):
            assert heads <= {"values", "errors", "sources", "decoders", "pixels", "workers"}, name


def test_heavy_libraries_are_imported_only_by_their_adapters():
    homes = {
        "openvino": {"runtimes/openvino.py", "search/products.py"},
        "tokenizers": {"tokens.py"},
        "rich": {"terminal.py"},
    }
    homes |= {
        "safetensors": {"models/formats/tensors.py"},
        "pyarrow": {"export.py", "sources/table.py"},
        "click": {"cli.py"},
    }
    homes |= {"pandas": {"automm/columns.py"}, "torch": {"runtimes/torch.py"}, "watchfiles": {"watching.py"}}
    homes |= {"faiss": {"search/flat.py", "search/lists.py", "search/scan.py"}}
    homes |= {"fsspec": {"sources/remote.py"}, "pathspec": {"sources/_rules.py"}}
    package = ROOT / "src" / "glimpse"
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                home = homes.get(name.split(".")[0])
                assert home is None or str(path.relative_to(package)) in home, (path, name)


def test_the_page_of_models_is_the_one_that_is_made():
    """`python tools/make_models_page.py` writes it."""
    made = subprocess.run(
        [sys.executable, "-c", "import make_models_page as tool, sys; sys.stdout.write(tool.page())"],
        cwd=ROOT / "tools",
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == (ROOT / "docs" / "models.md").read_text("utf-8")
