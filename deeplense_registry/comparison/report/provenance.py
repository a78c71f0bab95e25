"""How each run was made, and the commands that make it again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...survey import find_runs
from .collect import Run
from .markup import Markup, element, joined, table
from .study import Member, Study

_CORE = "deeplense-registry"
_REPRODUCE = "deeplense runs reproduce"


def run_table(runs: Sequence[tuple[str, Run]]) -> Markup:
    """A line a run: name, status, seed, time, digest, and how it collapsed."""
    rows = [
        [
            name,
            run.status,
            str(run.manifest.get("seed", "-")),
            f"{run.history.seconds / 60:.1f}" if run.history.seconds else "-",
            element("code", str(run.manifest.get("digest", "-"))[:12]),
            element("code", str(run.folder.path)),
            "; ".join(filter(None, (run.manifest.get("collapse"), *run.problems))),
        ]
        for name, run in runs
    ]
    heads = ["run", "status", "seed", "minutes of training", "digest", "folder", "collapse, problems"]
    return table("Every run", heads, rows, class_="list")


def cost_table(study: Study) -> Markup:
    """A line a model: parameters, throughput, training time."""
    rows = [
        [
            one.name,
            *(
                "-" if value is None else f"{value:{form}}"
                for value, form in (
                    (one.cost("parameters"), ",.0f"),
                    (one.cost("images_per_second"), ",.1f"),
                    (one.cost("minutes"), ",.2f"),
                )
            ),
        ]
        for one in study.members
    ]
    heads = ["model", "parameters", "images per second", "minutes of training"]
    return table("What each model costs, the mean over its seeds", heads, rows, class_="list")


def run_details(member: Member, run: Run) -> Markup:
    """What a run was made with, its exact spec, and how to make it again."""
    manifest = run.manifest
    facts = {
        "status": run.status,
        "digest": manifest.get("digest"),
        "digest of the encoder": manifest.get("train_digest"),
        "digest of the images": manifest.get("shards"),
        "digest of the core": manifest.get("core_digest"),
        "git": _git(manifest.get("git")),
        "hardware": _pairs(manifest.get("hardware")),
        "arithmetic": _pairs(manifest.get("precision")),
        "versions": _pairs(manifest.get("versions")),
    }
    listed = [joined(element("dt", name), element("dd", value)) for name, value in facts.items() if value]
    plugins = [
        joined(element("dt", f"{one['kind']} {one['name']}"), element("dd", _plugin(one)))
        for one in manifest.get("plugins", ())
    ]
    return element(
        "details",
        element("summary", f"{member.name}, seed {manifest['seed']}"),
        element("dl", *listed, *plugins),
        element("p", "Again: ", element("code", f"{_REPRODUCE} {_path(run)}")),
        element("p", "The spec, with every default filled in:"),
        element("pre", run.text),
    )


def commands(runs: Sequence[Run]) -> Markup:
    """What to type to make the runs, and this page, again."""
    report = ["deeplense", "report", *map(str, _folders(runs)), "-o", "report.html"]
    lines = ["# the same versions", _install(runs), ""]
    lines += ["# a run again, elsewhere, compared with what is here", f"{_REPRODUCE} {_path(runs[0])}", ""]
    lines += ["# or from a spec below, saved as spec.toml", "deeplense run spec.toml", ""]
    return element("pre", "\n".join([*lines, "# this page", shlex.join(report)]))


def _folders(runs: Sequence[Run]) -> list[Path]:
    """The runs' folders; where all the runs of the folder above are among them, that one."""
    given = {run.folder.path for run in runs}
    above = {path.parent: {run.path for run in find_runs([path.parent])} for path in given}
    return sorted({path.parent if above[path.parent] <= given else path for path in given})


def _path(run: Run) -> str:
    return shlex.quote(str(run.folder.path))


def _install(runs: Sequence[Run]) -> str:
    wanted: dict[str, None] = {}
    for run in runs:
        core = run.manifest.get("versions", {}).get(_CORE)
        plugins = [(one["distribution"], one["version"]) for one in run.manifest.get("plugins", ())]
        wanted |= {f"{name}=={version}": None for name, version in [(_CORE, core), *plugins] if version}
    return shlex.join(["pip", "install", *wanted])


def _plugin(one: dict[str, str]) -> str:
    return f"{one['distribution']} {one['version']}, {one['digest'][:16]}"


def _git(state: dict[str, Any] | None) -> str:
    return "" if not state else state["commit"] + ", with changes" * bool(state["changed"])


def _pairs(values: dict[str, Any] | None) -> str:
    return ", ".join(f"{name} {value}" for name, value in (values or {}).items())
