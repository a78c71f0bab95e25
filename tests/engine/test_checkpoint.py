"""Checkpoints: whole, checksummed, the last good one wins."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toys import toy_facts, toy_method

from deeplense_registry import Method, Recipe, UserError
from deeplense_registry.engine.checkpoint import Checkpoints
from deeplense_registry.engine.optimisation import Optimisation


def trained(steps: int) -> tuple[Method, Optimisation]:
    method = toy_method()
    optimisation = Optimisation(method, Recipe(), toy_facts())
    for _ in range(steps):
        for parameter in method.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimisation.optimiser.step()
    method.moved += steps
    return method, optimisation


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_state_comes_back_whole(tmp_path: Path) -> None:
    method, optimisation = trained(3)
    checkpoints = Checkpoints(tmp_path, "d" * 64)
    checkpoints.save(3, method, optimisation.optimiser)
    other, theirs = trained(0)
    assert checkpoints.restore(other, theirs.optimiser) == 3
    for name, value in method.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    mine, restored = optimisation.optimiser.state_dict(), theirs.optimiser.state_dict()
    for key, state in mine["state"].items():
        assert all(torch.equal(state[name], restored["state"][key][name]) for name in state)


def test_nothing_to_restore(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none", "d").restore(toy_method()) is None


def test_only_the_newest_stay(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "d", keep=2)
    for step in (1, 2, 3):
        checkpoints.save(step, *_parts())
    assert files(tmp_path) == [f"step-0000000{n}.{suffix}" for n in (2, 3) for suffix in ("json", "pt")]


def _parts() -> tuple[Method, torch.optim.Optimizer]:
    method, optimisation = trained(1)
    return method, optimisation.optimiser


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, damage: str) -> None:
    checkpoints = Checkpoints(tmp_path, "d")
    checkpoints.save(1, *_parts())
    checkpoints.save(2, *_parts())
    path = tmp_path / "step-00000002.pt"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[:-100])
    else:
        path.unlink()
    with pytest.warns(UserWarning, match=r"step-00000002\.pt is damaged; taking the checkpoint before it"):
        assert checkpoints.restore(toy_method()) == 1


def test_an_unfinished_checkpoint_does_not_count(tmp_path: Path) -> None:
    """Killed between the tensors and their checksum."""
    checkpoints = Checkpoints(tmp_path, "d")
    checkpoints.save(1, *_parts())
    checkpoints.save(2, *_parts())
    (tmp_path / "step-00000002.json").unlink()
    assert checkpoints.restore(toy_method()) == 1


def test_a_checkpoint_of_another_spec_is_refused(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "a" * 64).save(7, *_parts())
    with pytest.raises(UserError) as caught:
        Checkpoints(tmp_path, "b" * 64).restore(toy_method())
    assert str(caught.value) == (
        f"{tmp_path}: the checkpoint at step 7 belongs to another spec (aaaaaaaaaaaa, not bbbbbbbbbbbb): "
        "choose another run name or --runs folder"
    )


FULL_DISK = """
import resource, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from toys import toy_method
from deeplense_registry import Recipe, UserError
from deeplense_registry.engine.checkpoint import Checkpoints
import torch
method = toy_method()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
try:
    Checkpoints(Path({folder!r}), "d").save(2, method, torch.optim.SGD(method.parameters(), lr=1.0))
except UserError as error:
    print(error)
"""


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    """A real refusal by the kernel: files may not grow past 2 kB."""
    assert hasattr(resource, "RLIMIT_FSIZE")
    checkpoints = Checkpoints(tmp_path, "d")
    checkpoints.save(1, *_parts())
    script = FULL_DISK.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert "step-00000002.pt: cannot write the checkpoint: " in done.stdout
    assert "free the disk and run again" in done.stdout
    assert files(tmp_path) == ["step-00000001.json", "step-00000001.pt"]
    assert checkpoints.restore(toy_method()) == 1
