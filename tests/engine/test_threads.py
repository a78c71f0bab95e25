"""One number of threads for every pool in the process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped]

from deeplense_registry.engine.session import settle


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    threads = torch.get_num_threads()
    with threadpool_limits():
        yield
    torch.set_num_threads(threads)


def pools() -> set[int]:
    """The number of threads of each pool; numpy, scipy, scikit-learn and torch have one or two each."""
    found = threadpool_info()
    assert {one["user_api"] for one in found} == {"blas", "openmp"}
    return {one["num_threads"] for one in found}


@pytest.mark.parametrize("threads", [1, 2])
def test_all_pools_have_the_threads_of_the_spec(threads: int) -> None:
    threadpool_limits(3 - threads)
    settle("cpu", threads)
    assert (torch.get_num_threads(), pools()) == (threads, {threads})


def test_without_a_number_they_have_torchs() -> None:
    torch.set_num_threads(2)
    threadpool_limits(1, user_api="blas")
    settle("cpu", None)
    assert pools() == {2}
