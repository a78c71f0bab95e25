"""``deeplense tensorboard RUNS...``: TensorBoard on the curves and pictures of runs, side by side."""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..engine.folder import RunFolder


def add(parsers: Any) -> None:
    """Register the verb."""
    parser = parsers.add_parser("tensorboard", help="open TensorBoard on runs, side by side")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUNS", help="folders of runs, or folders above them")
    parser.add_argument("--port", type=int, default=6006, help="the port to serve on (6006)")
    parser.set_defaults(call=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted.

    Raises:
        UserError: There are no runs, or none has anything for TensorBoard.
    """
    from ..survey import find_runs

    with TemporaryDirectory(prefix="deeplense-tensorboard-") as folder:
        lay_out(find_runs(arguments.runs), Path(folder))
        from tensorboard.program import TensorBoard  # not before the runs are known to be right: it takes a second

        server = TensorBoard()
        server.configure(argv=["tensorboard", "--logdir", folder, "--port", str(arguments.port)])
        code: int = server.main()
    return code


def lay_out(runs: Sequence[RunFolder], folder: Path) -> None:
    """Make a folder for TensorBoard: a link to each run's files by a readable name, and the options that they have.

    TensorBoard would otherwise know the hyper-parameters of one run alone, and every scalar as a metric.

    Raises:
        UserError: No run has files for TensorBoard.
    """
    from torch.utils.tensorboard import SummaryWriter

    from ..components import UserError

    written = [one for one in runs if (one.path / "tensorboard").is_dir()]
    for one in runs:
        if one not in written:
            print(f"warning: {one.path}: nothing for TensorBoard (not trained yet, or without it)", file=sys.stderr)
    if not written:
        raise UserError("no run has files for TensorBoard: have they begun, and is it among execute.observers?")
    for name, one in zip(names([one.path for one in written]), written, strict=True):
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((one.path / "tensorboard").resolve(), target_is_directory=True)
    with SummaryWriter(str(folder)) as writer:
        writer._get_file_writer().add_summary(_experiment(written))


def names(paths: Sequence[Path]) -> list[str]:
    """Each run's folder from where they part: ``simclr-levit`` of one survey, ``first/simclr-levit`` of several."""
    whole = [path.resolve() for path in paths]
    above = os.path.commonpath([path.parent for path in whole])
    return [path.relative_to(above).as_posix() for path in whole]


def _experiment(runs: Sequence[RunFolder]) -> Any:
    """What the page "hparams" has columns for: every option, those that differ first, and every headline."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    tables = [_options(one) for one in runs]
    infos = []
    for name in dict.fromkeys(name for table in tables for name in table):
        values = {table[name] for table in tables if name in table}  # a method is no different for not having it
        number = all(isinstance(value, int | float | None) for value in values)
        kind = api_pb2.DATA_TYPE_FLOAT64 if number else api_pb2.DATA_TYPE_STRING
        infos.append(api_pb2.HParamInfo(name=name, type=kind, differs=len(values) > 1))
    infos.sort(key=lambda info: not info.differs)
    tags = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=name)) for name in _headlines(runs)]
    experiment = api_pb2.Experiment(hparam_infos=infos, metric_infos=tags)
    about = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(experiment=experiment))
    return Summary(value=[Summary.Value(tag=metadata.EXPERIMENT_TAG, metadata=about)])


def _options(run: RunFolder) -> dict[str, Any]:
    """Every option of a run.

    Raises:
        UserError: Its spec cannot be read.
    """
    from ..components import UserError
    from ..engine.observers.tensorboard import options_of

    path = run.path / "spec.toml"
    try:
        return dict(options_of(tomllib.loads(path.read_text())))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run its spec again, or leave the run out") from error


def _headlines(runs: Sequence[RunFolder]) -> list[str]:
    """The names of what the runs measured, in their order."""
    from ..engine.observers.tensorboard import headline, is_headline

    measured = (one for run in runs for one in run.measurements() or ())
    return list(dict.fromkeys(headline(one) for one in measured if is_headline(one)))
