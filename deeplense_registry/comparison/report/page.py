"""The report: one HTML page of several runs, which loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from ...engine.folder import RunFolder
from .collect import Run, read_runs
from .figures import needs_matplotlib
from .markup import Markup, element, joined
from .palette import COLOURS, LEVELS, ink
from .provenance import run_table
from .sections import study_section
from .studies import studies_of
from .study import Study


def report_page(folders: Sequence[RunFolder]) -> tuple[str, list[str]]:
    """The page, and what its reader should be warned of.

    The same runs give the same bytes. A policy in its head keeps a browser from loading anything and from running any
    script but the page's own.

    Args:
        folders: The runs, one at least.

    Raises:
        UserError: matplotlib is missing.
    """
    needs_matplotlib()
    runs = read_runs(folders)
    studies, warnings = studies_of(runs)
    sections, problems = zip(*map(study_section, studies), strict=True) if studies else ((), ())
    warnings += [*_unread(runs), *_unmeasured(runs), *(line for several in problems for line in several)]
    title = f"{', '.join(_surveys(runs))}: {len(runs)} run{'s' * (len(runs) > 1)}"
    body = [
        element("h1", title),
        _contents(studies),
        _warnings(warnings),
        *sections,
        element("section", element("h2", "All runs"), run_table(_named(runs, studies)), id="runs"),
    ]
    return _document(title, joined(*body)), warnings


def _document(title: str, body: Markup) -> str:
    style = Markup(_file("page.css") + _colours())
    script = Markup(_file("page.js"))
    policy = f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", style),
    )
    return (
        "<!doctype html>\n" + element("html", head, element("body", body, element("script", script)), lang="en") + "\n"
    )


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _colours() -> str:
    """Classes for the levels of heat maps and the colours of methods, since the policy forbids styles in elements."""
    heat = [f".h{number} {{ background: {paper}; color: {ink(paper)}; }}" for number, paper in enumerate(LEVELS)]
    return "\n".join([*heat, *(f".c{number} {{ color: {paint}; }}" for number, paint in enumerate(COLOURS)), ""])


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _surveys(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(str(run.spec.get("run", {}).get("name") or run.folder.path.parent.name) for run in runs))


def _contents(studies: Sequence[Study]) -> Markup:
    links = [element("a", study.title, href=f"#{study.anchor}") for study in studies]
    return element("nav", element("ul", *(element("li", link) for link in [*links, _RUNS])), aria_label="contents")


_RUNS = element("a", "All runs", href="#runs")


def _warnings(warnings: Sequence[str]) -> Markup | None:
    if not warnings:
        return None
    return element("div", element("ul", *(element("li", text) for text in warnings)), class_="warn", role="note")


def _unread(runs: Sequence[Run]) -> list[str]:
    return [problem for run in runs for problem in run.problems]


def _unmeasured(runs: Sequence[Run]) -> list[str]:
    """A line for each reason to have no part in the comparison, and one for a page of nothing else."""
    left: dict[str, list[str]] = {}
    for run in runs:
        if not run.measured and not run.problems:
            left.setdefault(_why(run), []).append(str(run.folder.path))
    told = [f"no part in the comparison have ({why}): {', '.join(paths)}" for why, paths in left.items()]
    if not any(run.measured for run in runs):
        told.append(
            "no run has measurements yet, so nothing is compared: finish the runs, or give their spec [evaluate]"
        )
    return told


def _why(run: Run) -> str:
    return "no measurements (its spec has no [evaluate])" if run.status.startswith("finished") else run.status


def _named(runs: Sequence[Run], studies: Sequence[Study]) -> list[tuple[str, Run]]:
    """Every run, by the name of its model where that is known."""
    names = {id(run): one.name for study in studies for one in study.members for run in one.runs}
    return [(names.get(id(run), run.folder.path.name), run) for run in runs]
