"""What this installation has, for `glimpse doctor` and for reports of defects."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from glimpse import __version__, places, registry, runtimes
from glimpse.errors import GlimpseError, MissingExtra

_LIBRARIES = (
    "openvino",
    "numpy",
    "pillow",
    "safetensors",
    "tokenizers",
    "huggingface_hub",
    "pathspec",
    "onnxruntime",
    "torch",
    "pyarrow",
    "fsspec",
    "watchfiles",
)
_FEATURES = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "asimd", "bf16")


def examine() -> dict[str, str]:
    """Facts by name, in the order in which they help."""
    return {
        "glimpse": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": f"{os.cpu_count()} cores; {' '.join(_processor_features()) or 'features unknown'}",
        **{f"runtime {name}": _runtime(name) for name in registry.names("runtimes")},
        **{library: _version(library) for library in _LIBRARIES},
        "picture formats": _formats(),
        "footage": _footage(),
        "cache folder": f"{places.cache_folder()} ({_megabytes(places.cache_folder()):.0f} MB, may be deleted)",
        "default collection": str(places.default_collection()),
        "sends anything home": "no",
    }


def _processor_features() -> list[str]:
    """What matters for speed, where the system says (Linux)."""
    try:
        words = set(Path("/proc/cpuinfo").read_text("utf-8").split())
    except OSError:
        return []
    return [name for name in _FEATURES if name in words]


def _runtime(name: str) -> str:
    try:
        runtime = registry.find("runtimes", name)
        found = (f"{device}: {' or '.join(runtime.precisions(device))}" for device in runtime.devices())
        return f"works, {'; '.join(found)}{', what auto takes' if name == runtimes.best() else ''}"
    except MissingExtra:
        return f"not installed: pip install 'glimpse-search[{name}]'"
    except (GlimpseError, ImportError, RuntimeError) as error:
        return f"does not work: {error}"


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def _formats() -> str:
    from glimpse.decoders.image import formats  # noqa: PLC0415

    return " ".join(formats())


def _footage() -> str:
    if find_spec("av") is None:
        return "not installed: pip install 'glimpse-search[video]'"
    from glimpse.decoders.video import versions  # noqa: PLC0415

    return versions()


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
