import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

FILE = Path(__file__).parents[4] / "benchmarks" / "equivariance_pays.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = spec_from_file_location("equivariance_pays", FILE)
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_letters_are_drawn_and_none_is_another_turned(benchmark):
    images, labels = benchmark.letters(64, 0.0, torch.Generator().manual_seed(0))
    assert images.shape == (64, 1, benchmark.SIZE, benchmark.SIZE)
    assert labels.bincount().tolist() == [16] * 4
    means = torch.stack([images[labels == label].mean(0) for label in range(4)])
    turned = torch.stack([means.rot90(turns, (2, 3)) for turns in range(4)])
    for label in range(4):
        others = [other for other in range(4) if other != label]
        assert (turned[:, others] - means[label]).square().mean((2, 3, 4)).min() > 0.02


def test_the_interval_is_students(benchmark):
    mean, low, high = benchmark.interval([0.8, 0.9, 1.0])
    assert (mean, high - mean) == (pytest.approx(0.9), pytest.approx(4.302653 * 0.1 / 3**0.5))
    assert mean - low == pytest.approx(high - mean)


@pytest.mark.slow
def test_it_pays_at_angles_that_were_not_trained(benchmark):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    results = benchmark.experiment(seeds=3, train=256, epochs=9, trainings=["nearly upright"])
    torch.set_num_threads(threads)
    ends = {(one.tested, one.model): one.interval for one in results}
    assert ends["at any angle", "ET"][1] > ends["at any angle", "plain"][2]  # intervals lie apart
    assert ends["nearly upright", "plain"][0] > 0.9  # it learned what it was shown
