import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deeplense_registry.blocks.queue import Queue


def numbered(first, count):
    """Rows of two views, (count, 2, 1): n and -n."""
    n = torch.arange(first, first + count, dtype=torch.float32)
    return torch.stack([n, -n], dim=1)[..., None]


@given(length=st.integers(1, 9), data=st.data())
@settings(max_examples=60, deadline=None)
def test_it_holds_the_newest_rows_and_its_pointer_shows_the_oldest(length, data):
    queue, pushed = Queue(2, length, 1), 0
    for count in data.draw(st.lists(st.integers(1, length), max_size=8)):
        queue.push(numbered(pushed + 1, count))
        pushed += count
        assert int(queue.filled) == min(pushed, length)
        assert queue.full() == (pushed >= length)
        assert float(queue.fill()) == pytest.approx(min(pushed, length) / length)
        assert int(queue.pointer) == pushed % length
        oldest_first = queue.rows.roll(-int(queue.pointer), dims=1)[..., 0]
        newest = [max(n, 0) for n in range(pushed - length + 1, pushed + 1)]  # 0 where nothing was pushed yet
        assert oldest_first[0].tolist() == newest
        assert oldest_first[1].tolist() == [-n for n in newest]


def test_rows_come_in_without_gradient_and_in_the_queues_precision():
    queue = Queue(2, 4, 1)
    queue.push(numbered(1, 2).double().requires_grad_())
    assert (queue.rows.dtype, queue.rows.requires_grad) == (torch.float32, False)
    assert queue.double().rows.dtype == torch.float64


def test_a_checkpoint_holds_everything():
    queue = Queue(2, 5, 1)
    queue.push(numbered(1, 4))
    restored = Queue(2, 5, 1)
    restored.load_state_dict(queue.state_dict())
    for both in (queue, restored):
        both.push(numbered(5, 3))
    assert set(queue.state_dict()) == {"rows", "pointer", "filled"}
    assert all(torch.equal(value, restored.state_dict()[name]) for name, value in queue.state_dict().items())


def test_more_rows_than_fit_are_refused():
    with pytest.raises(ValueError, match="5 rows do not fit into a queue of 4"):
        Queue(2, 4, 1).push(numbered(1, 5))


def test_a_queue_of_no_length_takes_nothing_and_is_full():
    queue = Queue(2, 0, 1)
    queue.push(numbered(1, 3))
    assert queue.rows.shape == (2, 0, 1)
    assert queue.full()
    assert float(queue.fill()) == 0.0
