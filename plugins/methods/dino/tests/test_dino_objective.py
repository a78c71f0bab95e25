import math

import pytest
import torch
from deeplense_dino.layers import LastLayer, Network, projector
from deeplense_dino.objective import distil, entropy, moved_centre, teacher_temperature
from deeplense_dino.options import DINOOptions
from hypothesis import given
from hypothesis import strategies as st
from lightly.loss import DINOLoss
from lightly.models.modules.heads import DINOProjectionHead
from torch import nn
from torch.nn import functional as F

from deeplense_registry import Backbone, Features, ImageShape

EPOCHS = 5


def logits(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive(student, teacher, centre, student_temp, teacher_temp):
    """Equation 3 of the paper, number by number."""

    def softmax(scores):
        top = max(scores)
        weights = [math.exp(s - top) for s in scores]
        return [w / sum(weights) for w in weights]

    images, total, pairs = len(student), 0.0, 0
    student, teacher, centre = student.tolist(), teacher.tolist(), centre.tolist()
    for i in range(images):
        for g, raw in enumerate(teacher[i]):
            target = softmax([(t - c) / teacher_temp for t, c in zip(raw, centre, strict=True)])
            for v, answer in enumerate(student[i]):
                if v != g:
                    guess = softmax([s / student_temp for s in answer])
                    total -= sum(t * math.log(s) for t, s in zip(target, guess, strict=True))
                    pairs += 1
    return total / pairs


@pytest.mark.parametrize(("count", "views", "outputs", "seed"), [(1, 2, 2, 0), (3, 4, 7, 1), (5, 10, 16, 2)])
def test_the_loss_is_that_of_the_paper(count, views, outputs, seed):
    student, teacher = logits(count, views, outputs, seed=seed), logits(count, 2, outputs, seed=seed + 10)
    centre = logits(outputs, seed=seed + 20)
    step = distil(student, teacher, centre, student_temp=0.1, teacher_temp=0.04)
    assert float(step.loss) == pytest.approx(naive(student, teacher, centre, 0.1, 0.04), rel=1e-10)
    assert step.teacher.shape == (count, 2, outputs)
    torch.testing.assert_close(step.teacher.sum(-1), torch.ones(count, 2, dtype=torch.float64))


@pytest.mark.parametrize(("count", "views", "outputs"), [(4, 2, 8), (3, 6, 32), (8, 10, 64)])
@pytest.mark.parametrize(("warmup", "final", "epochs"), [(0.04, 0.04, 0), (0.04, 0.07, 3), (0.02, 0.05, 1)])
def test_five_epochs_are_those_of_lightly(count, views, outputs, warmup, final, epochs):
    theirs = DINOLoss(outputs, warmup, final, epochs, student_temp=0.1, center_momentum=0.9).double()
    theirs.teacher_temp_schedule = torch.linspace(warmup, final, epochs, dtype=torch.float64)
    centre = torch.zeros(outputs, dtype=torch.float64)
    for step in range(2 * EPOCHS):
        epoch = step // 2
        student, teacher = logits(count, views, outputs, seed=step), 2 + logits(count, 2, outputs, seed=step + 50)
        ours = distil(
            student,
            teacher,
            centre,
            student_temp=0.1,
            teacher_temp=teacher_temperature(epoch, warmup, final, epochs),
        )
        centre = moved_centre(centre, teacher.mean((0, 1)), 0.9)
        loss = theirs(list(teacher.unbind(1)), list(student.unbind(1)), epoch=epoch)
        assert float(ours.loss) == pytest.approx(float(loss), rel=1e-6)  # their temperature may be float32
        torch.testing.assert_close(centre, theirs.center.flatten(), rtol=1e-12, atol=1e-12)
    assert centre.norm() > 0.5


def test_the_teachers_logits_get_no_gradient():
    student, teacher = logits(3, 4, 8).requires_grad_(), logits(3, 2, 8, seed=1).requires_grad_()
    distil(student, teacher, torch.zeros(8), student_temp=0.1, teacher_temp=0.04).loss.backward()
    assert teacher.grad is None
    assert student.grad.any(-1).all()


@given(st.integers(1, 40), st.floats(0.01, 0.1), st.floats(0.01, 0.1))
def test_the_temperature_is_a_line_and_then_a_constant(epochs, warmup, final):
    line = torch.linspace(warmup, final, epochs, dtype=torch.float64).tolist()
    got = [teacher_temperature(epoch, warmup, final, epochs) for epoch in range(epochs + 3)]
    assert got == pytest.approx([*line, final, final, final])


def test_the_entropy_is_0_where_certain_and_log_k_where_not():
    assert float(entropy(torch.eye(4))) == pytest.approx(0)
    assert float(entropy(torch.full((3, 2, 8), 1 / 8))) == pytest.approx(math.log(8))


class Flat(Backbone):
    """The first pixels of an image, which is all it sees."""

    width = 12

    def __init__(self):
        super().__init__(None, ImageShape(1, 4, 4))

    def forward(self, images, *, pose=None):
        return Features(pooled=images.flatten(1)[:, : self.width], grid=images)


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")  # lightly's
def test_the_head_is_that_of_lightly_with_the_same_weights():
    options = DINOOptions(out_dim=20, hidden_dim=16, bottleneck_dim=6, norm_last_layer=False)
    ours = Network(Flat(), options).double()
    theirs = DINOProjectionHead(12, 16, 6, 20, norm_last_layer=False).double()
    for own, other in zip(ours.head.parameters(), theirs.layers.parameters(), strict=True):
        nn.init.normal_(own, std=0.3)
        other.data.copy_(own)
    gain = logits(20, 1).abs()
    ours.last_layer.gain.data.copy_(gain)
    theirs.last_layer.weight_g.data.copy_(gain)
    theirs.last_layer.weight_v.data.copy_(ours.last_layer.direction)
    images = [logits(5, 1, 4, 4, seed=seed) for seed in range(3)]
    got = ours.last_layer(ours(images))
    expected = torch.stack([theirs(view.flatten(1)[:, :12]) for view in images], dim=1)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


def structure(head):
    return [
        (m.in_features, m.out_features, m.bias is not None) if isinstance(m, nn.Linear) else type(m).__name__
        for m in head
    ]


def test_the_head_has_the_published_structure():
    published = DINOOptions(out_dim=65536, hidden_dim=2048)
    with torch.device("meta"):
        head = projector(384, published)
        last = LastLayer(256, 65536, learn_gain=False)
    assert structure(head) == [(384, 2048, True), "GELU", (2048, 2048, True), "GELU", (2048, 256, True)]
    assert {name: tuple(p.shape) for name, p in last.named_parameters()} == {
        "direction": (65536, 256),
        "gain": (65536, 1),
    }
    assert published.nlayers == 3
    normed = structure(projector(8, DINOOptions(hidden_dim=4, use_bn_in_head=True)))
    assert normed == [(8, 4, True), "BatchNorm1d", "GELU", (4, 4, True), "BatchNorm1d", "GELU", (4, 256, True)]
    assert structure(projector(8, DINOOptions(nlayers=1))) == [(8, 256, True)]


def test_the_head_starts_truncated_normal_without_bias_and_the_gain_at_1():
    torch.manual_seed(0)
    head = projector(400, DINOOptions(hidden_dim=300))
    assert float(head[0].weight.detach().std()) == pytest.approx(0.02, rel=0.02)
    assert not any(layer.bias.any() for layer in head if isinstance(layer, nn.Linear))
    assert (LastLayer(4, 3, learn_gain=True).gain == 1).all()


def test_the_last_layer_ignores_the_length_of_its_directions():
    layer = LastLayer(6, 9, learn_gain=False)
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    before = layer(x)
    torch.testing.assert_close(before, x @ F.normalize(layer.direction, dim=1).T)
    layer.direction.data.mul_(torch.linspace(0.1, 5, 9)[:, None])
    torch.testing.assert_close(layer(x), before)
