"""What cannot work is refused by ``deeplense check``, before there are data, with the reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deeplense_registry.cli import main
from deeplense_registry.spec import SpecError, load_spec
from tests.methods.rehearsal import published

SPEC = """\
[dataset.lenses]
size = 64
train = 1000

[method.{method}]

[backbone.levit]
variant = "128s-s8"

[train]
epochs = 10
batch_size = 64
"""

REFUSED: list[tuple[str, list[str], str, str]] = [
    (
        "simclr",
        ["train.batch_size=1"],
        "train.batch_size",
        '1 image has no batch statistics, and backbone "levit" normalises by them; use 2 or more',
    ),
    (
        "simsiam",
        ["train.warmup_epochs=11.0"],
        "train.warmup_epochs",
        "11 is longer than the run: set it to at most epochs = 10",
    ),
    (
        "swav",
        ["method.swav.queue=1000"],
        "method.swav",
        "queue = 1000 is no multiple of train.batch_size 64; 1024 is",
    ),
    (
        "swav",
        ["method.swav.queue=12800"],
        "method.swav",
        "the queue would be full after step 215 of 150 and never used: shorten queue or queue_start, train longer, or "
        "set queue = 0",
    ),
    (
        "swav",
        ["method.swav.freeze_epochs=10.0"],
        "method.swav",
        "freeze_epochs = 10 lasts the whole run of 10 epochs, and the prototypes would never learn: set it below "
        "train.epochs",
    ),
    (
        "swav",
        ["method.swav.local_size=8", 'backbone.levit.variant="128s"'],
        "method.swav",
        "local_size = 8 is below the 16 pixels that the backbone needs: raise it, or choose a backbone variant with a "
        "shorter stem",
    ),
    (
        "dino",
        ['train.recipe="paper"', "train.epochs=9"],
        "train.epochs",
        "the published warm-up of 10 epochs is longer: set warmup_epochs, or train longer",
    ),
    (
        "moby",
        ["method.moby.queue=1000"],
        "method.moby",
        "queue = 1000 is no multiple of train.batch_size 64; 1024 is",
    ),
    (
        "dino",
        ["method.dino.warmup_teacher_temp_epochs=30"],
        "method.dino",
        "warmup_teacher_temp_epochs = 30 is longer than the run: set it to at most train.epochs = 10",
    ),
    (
        "dino",
        ["method.dino.local_crops_size=8", 'backbone.levit.variant="128s"'],
        "method.dino",
        "local views of 8 pixels are smaller than the backbone takes: set local_crops_size to 16 or more, or "
        "local_crops_number to 0",
    ),
    (
        "sit",
        ["method.sit.drop_align=19"],
        "method.sit",
        "blocks of 19 pixels (drop_align) to below 0.3 of 64 pixels (block) leave no room: lower drop_align, or raise "
        "block",
    ),
    (
        "sit",
        ["dataset.lenses.size=32", 'backbone.levit.variant="128s"'],
        "method.sit",
        "the backbone's last grid is 1x1: too coarse to reconstruct images of 1x32x32 from; use larger images, or a "
        "variant with smaller cells",
    ),
    (
        "vtcc",
        ["method.vtcc.clusters=65"],
        "method.vtcc",
        "65 clusters cannot all hold an image of a batch of 64: lower clusters, or raise train.batch_size",
    ),
]


def spec_of(method: str, folder: Path) -> Path:
    path = folder / "spec.toml"
    path.write_text(SPEC.format(method=method))
    return path


@pytest.mark.parametrize("method", published("method"))
def test_the_spec_itself_is_right(method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = spec_of(method, tmp_path)
    assert main(["check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: right: 1 run of 150 steps on 1000 training images\n"


@pytest.mark.parametrize(("method", "overrides", "place", "reason"), REFUSED)
def test_what_cannot_work_is_refused(
    method: str, overrides: list[str], place: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(spec_of(method, tmp_path), overrides)
    assert [(problem.path, problem.text) for problem in caught.value.problems] == [(place, reason)]


@pytest.mark.parametrize("method", published("method"))
def test_a_micro_batch_of_one_has_no_statistics(method: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(spec_of(method, tmp_path), ["train.micro_batch=1"])
    reason = '1 image has no batch statistics, and backbone "levit" normalises by them; use 2 or more'
    assert [(problem.path, problem.text) for problem in caught.value.problems] == [("train.micro_batch", reason)]


def test_no_torch_is_needed_to_refuse(tmp_path: Path) -> None:
    """All of it in a fresh process, where torch would show."""
    paths: list[tuple[str, list[str]]] = []
    for method, overrides, _, _ in REFUSED:
        folder = tmp_path / str(len(paths))
        folder.mkdir()
        paths.append((str(spec_of(method, folder)), overrides))
    code = f"""
import sys
from deeplense_registry.cli import main
for path, overrides in {paths!r}:
    assert main(["check", path, *(word for one in overrides for word in ("--set", one))]) == 2
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
