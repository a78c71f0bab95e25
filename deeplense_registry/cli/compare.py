"""``deeplense compare RUN...``: models side by side, with honest statistics."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .show import show

if TYPE_CHECKING:
    from ..comparison import Comparison, Sheet
    from ..engine.folder import RunFolder

FORMATS = ("json", "csv", "markdown", "latex")


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("compare", help="models side by side: intervals, ranks, significant differences")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of runs, or folders above them")
    chosen = parser.add_argument_group("what is compared")
    several: dict[str, Any] = {"action": "append", "default": []}
    chosen.add_argument("--metric", **several, metavar="NAME", help="this metric, may be repeated (auroc and r2)")
    chosen.add_argument("--evaluator", **several, metavar="NAME", help="this evaluator alone, may be repeated")
    chosen.add_argument("--target", **several, metavar="NAME", help="this target alone, may be repeated")
    chosen.add_argument("--labels", **several, type=int, metavar="N", help="this label budget alone, may be repeated")
    chosen.add_argument(
        "--sort",
        default="rank",
        metavar="KEY",
        help="models by rank, name, method, backbone, or EVALUATOR/TARGET/METRIC/LABELS (rank)",
    )
    view = parser.add_argument_group("what is shown").add_mutually_exclusive_group()
    view.add_argument("--each", action="store_true", help="a column for each run and encoder, every metric")
    view.add_argument("--pairs", action="store_true", help="paired differences of all models")
    parser.add_argument("--baseline", choices=("untrained", "supervised"), help="paired differences to this baseline")
    parser.add_argument(
        "--efficiency", action="store_true", help="how many times fewer labels give the baseline's result (supervised)"
    )
    parser.add_argument("--cd", type=Path, metavar="FILE", help="draw a critical-difference diagram (svg, png, pdf)")
    form = parser.add_argument_group("as what").add_mutually_exclusive_group()
    for name in FORMATS:
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, help=f"print {name}")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison; what must be said of the runs goes to the error stream."""
    from ..comparison import Choice, compare, comparison_table
    from ..survey import find_runs

    folders = find_runs(arguments.runs)
    if arguments.each or _is_plain(arguments, folders):
        show(comparison_table(folders))
        return 0
    choice = Choice(
        metrics=tuple(arguments.metric),
        evaluators=tuple(arguments.evaluator),
        targets=tuple(arguments.target),
        labels=tuple(arguments.labels),
        sort=arguments.sort,
    )
    comparisons, warnings = compare(folders, choice)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if arguments.form == "json":
        print(json.dumps([_document(one, arguments) for one in comparisons], indent=1))
    elif arguments.form == "csv":
        print(_csv(comparisons, arguments), end="")
    else:
        for one in comparisons:
            _print(one, arguments, heading=len(comparisons) > 1)
    if arguments.cd is not None:
        _draw(comparisons, arguments.cd)
    return 0


def _is_plain(arguments: argparse.Namespace, folders: list[RunFolder]) -> bool:
    """Whether one run is asked for, and nothing else."""
    asked = ("metric", "evaluator", "target", "labels", "pairs", "baseline", "efficiency", "cd", "form")
    return len(folders) == 1 and not any(getattr(arguments, name) for name in asked)


def _baseline(arguments: argparse.Namespace) -> str:
    return arguments.baseline or "supervised"


def _sheets(one: Comparison, arguments: argparse.Namespace) -> list[Sheet]:
    asked = []
    if arguments.baseline:
        asked.append(one.against_sheet(arguments.baseline))
    if arguments.efficiency:
        asked.append(one.gains_sheet(_baseline(arguments)))
    if arguments.pairs:
        asked += one.pair_sheets()
    return asked or [*one.matrices(), *one.rank_sheets()]


def _print(one: Comparison, arguments: argparse.Namespace, *, heading: bool) -> None:
    marks = {"markdown": "## {}\n", "latex": "% {}"}
    if heading:
        print(marks.get(arguments.form, "== {} ==").format(one.group.title))
    sheets = _sheets(one, arguments)
    for sheet, following in zip(sheets, [*sheets[1:], None], strict=True):
        if arguments.form is not None:
            print(sheet.markdown() if arguments.form == "markdown" else sheet.latex())
            continue
        show(sheet.terminal())
        if sheet.note and (following is None or following.note != sheet.note):
            print(f"{sheet.note}\n")


def _document(one: Comparison, arguments: argparse.Namespace) -> dict[str, Any]:
    found = one.document()
    if arguments.baseline:
        found["baseline"] = one.against_rows(arguments.baseline)
    if arguments.efficiency:
        found["efficiency"] = one.gain_rows(_baseline(arguments))
    return found


def _csv(comparisons: list[Comparison], arguments: argparse.Namespace) -> str:
    """One table: efficiencies, differences to the baseline, of pairs, or all scores."""
    from ..comparison import as_csv

    rows = []
    for one in comparisons:
        if arguments.efficiency:
            rows += one.gain_rows(_baseline(arguments))
        elif arguments.baseline:
            rows += one.against_rows(arguments.baseline)
        else:
            rows += one.pair_rows() if arguments.pairs else one.score_rows()
    return as_csv(rows)


def _draw(comparisons: list[Comparison], path: Path) -> None:
    """A diagram for each group; the second and later ones are numbered."""
    for number, one in enumerate(comparisons, start=1):
        place = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        one.draw(place)
        print(f"{one.group.title}: {place}", file=sys.stderr)
