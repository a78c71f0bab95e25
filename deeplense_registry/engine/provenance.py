"""What a run was made with: digests of plugins, versions, hardware."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from ..components import Row

PACKAGES = ("deeplense-registry", "torch", "numpy", "scikit-learn", "attrs", "pluggy")


def package_digest(package: str) -> str:
    """SHA-256 over the names and bytes of a package's Python files, sorted; imports nothing but its parents."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no package {package!r}")
    roots = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [(path.relative_to(root).as_posix(), path) for root in roots for path in root.rglob("*.py")]
    digest = hashlib.sha256()
    for name, path in sorted(files or [(Path(spec.origin).name, Path(spec.origin))]):
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def plugin_record(row: Row) -> dict[str, str]:
    """Who a component came from, for the run's manifest."""
    found = row.found
    record = {name: getattr(found, name) for name in ("kind", "name", "distribution", "version", "origin")}
    return {**record, "digest": package_digest(found.module)}


def surroundings(device: str) -> dict[str, Any]:
    """Versions, hardware and the state of the working folder's git checkout, for the run's manifest."""
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "core_digest": package_digest("deeplense_registry"),
        "hardware": {
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        },
        "git": git_state(Path.cwd()),
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit of the checkout that ``folder`` lies in and whether it has changes; ``None`` outside one."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = bool(_git(folder, "status", "--porcelain"))
    except (OSError, subprocess.CalledProcessError):  # no git, no checkout, no commit yet: nothing to record
        return None
    return {"commit": commit, "changed": changed}


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()
