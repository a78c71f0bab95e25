"""Every method trains on every backbone, at two sizes."""

from __future__ import annotations

import pytest

from tests.methods.matrix import LARGE, rehearse
from tests.methods.rehearsal import published


@pytest.mark.parametrize("backbone", published("backbone"))
@pytest.mark.parametrize("method", published("method"))
def test_a_pair_trains(method: str, backbone: str) -> None:
    small, large = rehearse(method, backbone, 64, 3), rehearse(method, backbone, LARGE, 1)
    assert (small.fine, len(small.losses)) == (True, 3), small
    assert (large.fine, len(large.losses)) == (True, 1), large


@pytest.mark.slow
@pytest.mark.parametrize("backbone", published("backbone"))
@pytest.mark.parametrize("method", published("method"))
def test_a_pair_trains_for_longer(method: str, backbone: str) -> None:
    small, large = rehearse(method, backbone, 64, 20), rehearse(method, backbone, LARGE, 3)
    assert (small.fine, len(small.losses)) == (True, 20), small
    assert (large.fine, len(large.losses)) == (True, 3), large
