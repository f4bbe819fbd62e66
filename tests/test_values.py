import dataclasses

import pytest

from glimpse import errors, registry, values
from glimpse.errors import GlimpseError, MissingExtra, UsageError
from glimpse.values import Failure, Hit, Progress, Report


def test_values_are_frozen():
    for kind in (Hit, Failure, Progress, Report, values.Item, values.ModelCard, values.PixelRules, values.TowerShape):
        assert dataclasses.is_dataclass(kind)
        assert kind.__dataclass_params__.frozen


def test_a_report_counts_every_input_once_and_says_so():
    report = Report(3, 2, 1, 4, (Failure("x", "empty", ""),), 1.25)
    assert report.total == 6
    assert str(report) == "3 indexed, 2 unchanged, 1 of them moved, 4 removed, 1 failed in 1.2 s"
    assert str(dataclasses.replace(report, interrupted=True)).startswith("stopped; ")


def test_progress_estimates():
    assert Progress(0, 10, 0, 0, 0.0).seconds_left is None
    assert Progress(0, 10, 0, 0, 0.0).rate == 0
    half = Progress(5, 10, 4, 1, 2.0)
    assert (half.rate, half.seconds_left) == (2.0, 2.0)
    assert str(half) == "5/10 (2.0 images/s, 2 s left, 1 failed)"


def test_the_tree_of_errors_is_the_one_that_is_drawn():
    drawn = set(errors.__doc__.replace("│", " ").replace("├──", " ").replace("└──", " ").split())
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, GlimpseError)}
    assert kinds <= drawn


def test_a_file_is_registered_by_its_name():
    assert registry.names("runtimes") == ["numpy", "onnx", "openvino", "torch"]
    assert registry.find("runtimes", "numpy").precisions() == ("float32",)
    with pytest.raises(UsageError, match="choose from numpy, onnx, openvino, torch"):
        registry.find("runtimes", "abacus")


def test_a_missing_library_says_what_to_type(tmp_path, monkeypatch):
    from glimpse import runtimes

    (tmp_path / "exotic.py").write_text("import a_library_that_is_not_there\n")
    monkeypatch.setattr(runtimes, "__path__", [*runtimes.__path__, str(tmp_path)])
    with pytest.raises(MissingExtra, match=r"a_library_that_is_not_there: pip install 'glimpse-search\[exotic\]'"):
        registry.find("runtimes", "exotic")
