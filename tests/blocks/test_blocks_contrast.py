import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplense_registry.blocks import embedding_std, info_nce, normalise, similarity_logits, widen


def rows(count, width, seed=0, dtype=torch.float32):
    return normalise(torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=dtype))


@given(queries=st.integers(1, 6), keys=st.integers(2, 9), seed=st.integers(0, 99), temperature=st.floats(0.05, 2.0))
@settings(max_examples=40, deadline=None)
def test_info_nce_is_its_definition(queries, keys, seed, temperature):
    q, k = rows(queries, 4, seed, torch.float64), rows(keys, 4, seed + 1, torch.float64)
    positives = torch.arange(queries) % (keys - 1) + 1
    own = torch.zeros(queries, dtype=torch.int64)  # never a positive
    loss, found = info_nce(q, k, positives, temperature, own=own)
    expected = 0.0
    for i in range(queries):
        scores = {j: float(q[i] @ k[j]) / temperature for j in range(1, keys)}
        expected += math.log(sum(math.exp(s) for s in scores.values())) - scores[int(positives[i])]
        assert bool(found[i]) == (max(scores, key=scores.get) == int(positives[i]))
    assert float(loss) == pytest.approx(expected / queries, abs=1e-9)


def test_without_own_rows_every_key_is_a_candidate():
    k = rows(5, 4)
    loss, found = info_nce(k, k, torch.arange(5), 0.01)
    assert float(loss) < 1e-3
    assert found.all()


def test_similarities_are_float32_under_autocast_and_in_half():
    q = rows(3, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = similarity_logits(q, q, 0.1)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, q @ q.T / 0.1)
    assert similarity_logits(q.bfloat16(), q.bfloat16(), 0.1).dtype == torch.float32


def test_widen_never_narrows():
    assert [widen(torch.zeros(1, dtype=d)).dtype for d in (torch.bfloat16, torch.float32, torch.float64)] == [
        torch.float32,
        torch.float32,
        torch.float64,
    ]


def test_embedding_std_tells_a_sphere_from_a_point():
    assert float(embedding_std(rows(5000, 64))) == pytest.approx(1.0, abs=0.02)
    assert float(embedding_std(torch.ones(50, 64))) == pytest.approx(0.0, abs=1e-5)
