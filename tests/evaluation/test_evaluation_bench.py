"""Embeddings, batch-norm statistics, the bench and the judge, with a small real encoder."""

import numpy as np
import pytest
import torch
from torch import nn

from deeplense_registry import (
    Backbone,
    DatasetCard,
    Evaluator,
    Features,
    ImageShape,
    Measurement,
    Target,
    UserError,
)
from deeplense_registry.evaluation import ArrayCache, EncoderBench, embed, estimate_statistics, judge
from deeplense_registry.interfaces import ViewPlan, ViewSpec
from deeplense_registry.spec import FluxTable, LabelsTable, ViewsTable
from deeplense_registry.views import BandStatistics, Pipeline, Scaling

SHAPE = ImageShape(2, 8, 8)


class Tiny(Backbone):
    width = 5

    def __init__(self, norm=True):
        super().__init__(None, SHAPE)
        self.conv = nn.Conv2d(2, 5, 3)
        self.norm = nn.BatchNorm2d(5) if norm else nn.Identity()
        self.drop = nn.Dropout(0.5)
        self.forwards = 0

    def forward(self, images, *, pose=None):
        self.forwards += 1
        grid = self.drop(torch.relu(self.norm(self.conv(images))))
        return Features(pooled=grid.mean((2, 3)), grid=grid)


class Arrays:
    """An image source of arrays."""

    def __init__(self, images, targets):
        self.arrays, self.known = images, targets
        self.largest, self.own = 0, {}

    def count(self, split):
        return len(self.arrays[split])

    def images(self, split, index):
        self.largest = max(self.largest, len(index))
        return self.arrays[split][index]

    def targets(self, split, target):
        return self.known[split][target]

    def names(self, split):
        return np.array([f"{split}-{n}" for n in range(self.count(split))])

    def meta(self, split, name):
        return self.own.get(name, np.full(self.count(split), np.nan))


def encoder(norm=True, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Tiny(norm).eval()


def bench(partners=1, **changes):
    rng = np.random.default_rng(0)
    sizes = {"train": 300, "val": 20, "test": 40}
    shape = (2, 8, 8) if partners == 1 else (partners, 2, 8, 8)
    images = {split: rng.normal(size=(n, *shape)).astype(np.float16) for split, n in sizes.items()}
    targets = {
        split: {"class": rng.integers(-1, 3, n), "radius": np.where(rng.random(n) < 0.1, np.nan, rng.random(n))}
        for split, n in sizes.items()
    }
    card = DatasetCard(
        name="arrays",
        shape=SHAPE,
        bands=("g", "r"),
        pixel_scale=0.1,
        targets={"class": Target(classes=("a", "b", "c")), "radius": Target(unit="arcsec")},
        splits={**sizes, "empty": 0},
        partners=partners,
    )
    given = {
        "backbone": encoder(),
        "encoder": "trained",
        "card": card,
        "source": Arrays({**images, "empty": images["val"][:0]}, targets),
        "scaling": lambda flux: 2 * flux,
        "labels": LabelsTable(budgets=(10, "all"), draws=3),
        "device": torch.device("cpu"),
        "shown": None,
    }
    return EncoderBench(**{**given, **changes})


def batches(seed=0, sizes=(6, 6, 6)):
    generator = torch.Generator().manual_seed(seed)
    return [3 + 2 * torch.randn(n, 2, 8, 8, generator=generator) for n in sizes]


def test_embeddings_are_the_encoders_in_evaluation_mode():
    tiny = encoder().train()
    tiny.norm.eval()  # a part that was frozen
    found = embed(tiny, batches(), 18)
    assert (tiny.training, tiny.norm.training, tiny.drop.training) == (True, False, True)
    assert found.dtype == np.float32
    with torch.no_grad():
        expected = encoder()(torch.cat(batches())).pooled
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_no_batches_give_no_rows():
    assert embed(encoder(), [], 0).shape == (0, 5)


@pytest.mark.parametrize("count", [12, 17, 19])
def test_batches_of_another_number_of_images_are_refused(count):
    with pytest.raises(ValueError, match="images"):
        embed(encoder(), batches(), count)


def test_non_finite_embeddings_are_counted():
    first, second, third = batches()
    first[2, 0, 4, 4] = torch.nan
    third[:2] = torch.inf
    with pytest.raises(UserError, match="of 3 of 18 images are not finite"):
        embed(encoder(), [first, second, third], 18)


def test_statistics_are_the_average_over_batches():
    tiny = encoder().train()
    estimate_statistics(tiny, batches())
    with torch.no_grad():
        means = [tiny.conv(batch).mean((0, 2, 3)) for batch in batches()]
        variances = [tiny.conv(batch).var((0, 2, 3)) for batch in batches()]
    torch.testing.assert_close(tiny.norm.running_mean, torch.stack(means).mean(0))
    torch.testing.assert_close(tiny.norm.running_var, torch.stack(variances).mean(0))
    assert tiny.norm.momentum == 0.1
    assert tiny.training
    assert tiny.norm.training


def test_statistics_forget_what_was_before_and_touch_no_parameter():
    tiny, other = encoder(), encoder()
    tiny.norm.running_mean.fill_(100)
    for one in (tiny, other):
        estimate_statistics(one, batches())
    for name, value in tiny.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])
    assert torch.equal(tiny.conv.weight, encoder().conv.weight)
    assert not tiny.norm.training


def test_without_batch_norm_nothing_happens():
    tiny = encoder(norm=False)
    estimate_statistics(tiny, batches())
    assert tiny.forwards == 0


def test_statistics_of_no_batch_are_refused_and_modes_restored():
    tiny = encoder()
    with pytest.raises(ValueError, match="at least one batch"):
        estimate_statistics(tiny, [])
    assert tiny.norm.momentum == 0.1
    assert not tiny.norm.training


def test_the_bench_embeds_a_split_once_in_batches_of_256():
    one = bench()
    first = one.embeddings("train")
    assert one.embeddings("train") is first
    assert one.backbone.forwards == 2
    assert one.source.largest == 256
    images = torch.tensor(one.source.arrays["train"], dtype=torch.float32)
    np.testing.assert_allclose(first, embed(encoder(), [2 * images], len(images)), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 1


def test_of_partners_the_first_is_embedded():
    one = bench(partners=3)
    images = torch.tensor(one.source.arrays["test"][:, 0], dtype=torch.float32)
    np.testing.assert_allclose(
        one.embeddings("test"), embed(encoder(), [2 * images], len(images)), rtol=1e-4, atol=1e-6
    )


def test_streams_keep_the_order():
    one = bench()
    index = np.array([5, 3, 11])
    got = list(one.stream("train", index, 2))
    assert [len(batch) for batch in got] == [2, 1]
    assert got[0].dtype == torch.float32
    np.testing.assert_array_equal(torch.cat(got), 2 * one.source.arrays["train"][index].astype(np.float32))


def test_assignments_come_from_the_method():
    calls = []

    def assign(features):
        calls.append(len(features))
        return features.softmax(1)

    one = bench(assign=assign)
    found = one.assignments("train")
    assert one.assignments("train") is found
    assert calls == [256, 44]
    np.testing.assert_allclose(found, torch.tensor(one.embeddings("train")).softmax(1), rtol=1e-5)
    assert bench().assignments("test") is None
    assert bench(assign=lambda features: None).assignments("test") is None


def test_draws_are_the_same_for_every_encoder_and_of_known_targets():
    ours, theirs = bench(), bench(backbone=encoder(seed=1), encoder="untrained")
    for target in ("class", "radius"):
        for mine, other in zip(ours.draws(target), theirs.draws(target), strict=True):
            assert [d.index.tolist() for d in mine] == [d.index.tolist() for d in other]
    assert [len(draws) for draws in ours.draws("class")] == [3, 1]
    assert (ours.targets("train", "class")[ours.draws("class")[1][0].index] >= 0).all()
    assert ours.rng("a", 1).random() == theirs.rng("a", 1).random() != ours.rng("a", 2).random()


def test_a_fresh_encoder_is_free():
    one = bench()
    one.backbone.requires_grad_(False)
    before = one.embeddings("test").copy()
    fresh = one.fresh_encoder()
    assert fresh.training
    assert all(parameter.requires_grad for parameter in fresh.parameters())
    with torch.no_grad():
        fresh.conv.weight.zero_()
    np.testing.assert_array_equal(embed(one.backbone, one.stream("test", np.arange(40), 256), 40), before)
    assert not one.backbone.conv.weight.requires_grad


class Wall:
    """Notes what is shown."""

    def __init__(self):
        self.seen = []

    def picture(self, name, image):
        self.seen.append((name, image.shape))

    def keep(self, name, content):
        self.seen.append((name, content))

    def projector(self, name, vectors, labels, thumbnails):
        self.seen.append((name, vectors.shape, labels, thumbnails))


def test_pictures_files_and_points_are_handed_on():
    wall = Wall()
    one = bench(shown=wall)
    one.picture("map", np.zeros((4, 4), np.float32))
    one.keep("map.csv", b"1,2")
    one.projector("space", np.zeros((3, 5), np.float32), {"class": ["a", "b", "c"]})
    assert wall.seen == [("map", (4, 4)), ("map.csv", b"1,2"), ("space", (3, 5), {"class": ["a", "b", "c"]}, None)]


def test_flux_is_unscaled_and_scale_makes_it_a_stream():
    one, index = bench(), np.array([3, 0, 7])
    flux, stream = torch.cat(list(one.flux("test", index, 2))), torch.cat(list(one.stream("test", index, 2)))
    assert torch.equal(one.scale(flux), stream)
    assert not torch.equal(flux, stream)


def pipelines(card):
    def pipeline(table):
        statistics = BandStatistics((0.0, 0.0), (1.0, 1.0))
        scaling = Scaling(FluxTable(scaling="none"), statistics)
        return Pipeline(ViewPlan(views=(ViewSpec(),)), table or ViewsTable(), scaling, card, statistics)

    return pipeline


def test_views_are_random_but_the_same_for_a_seed():
    one = bench()
    one.pipeline, index = pipelines(one.card), np.arange(7)
    first, again, other = (torch.cat(list(one.views("test", index, 4, seed=seed))) for seed in (1, 1, 2))
    assert first.shape == (7, 2, 8, 8)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_views_follow_the_table_given():
    one = bench()
    one.pipeline, index = pipelines(one.card), np.arange(7)
    still = ViewsTable(rotate=False, flip=False, shift=0.0, zoom=(1.0, 1.0), noise=(0.0, 0.0))
    views = torch.cat(list(one.views("test", index, 4, seed=1, table=still)))
    assert torch.allclose(views, torch.cat(list(one.flux("test", index, 4))), atol=1e-6)


def test_a_view_knows_the_noise_of_its_own_image():
    one = bench()
    one.pipeline, index = pipelines(one.card), np.arange(40)
    one.source.own = {
        "noise": np.where(np.arange(40) == 5, 9.0, np.nan)
    }  # image 5 lacks nothing of the level asked for
    noisy = ViewsTable(rotate=False, flip=False, shift=0.0, zoom=(1.0, 1.0), noise=(1.0, 1.0))
    views = torch.cat(list(one.views("test", index, 16, seed=1, table=noisy)))
    change = (views - torch.cat(list(one.flux("test", index, 16)))).std((1, 2, 3))
    assert change[5] < 1e-6
    assert (change[index != 5] > 0.5).all()


def test_without_a_pipeline_there_are_no_views():
    with pytest.raises(UserError, match="no views"):
        next(bench().views("test", np.arange(3), 2, seed=0))


def test_names_and_meta_are_the_sources():
    assert bench().names("val")[:2].tolist() == ["val-0", "val-1"]
    assert np.isnan(bench().meta("val", "noise")).all()


def test_embeddings_are_kept_and_computed_once(tmp_path):
    kept = ArrayCache(tmp_path / "embeddings", "ab" * 32)
    first = bench(kept=kept).embeddings("test")
    again = bench(kept=kept)
    assert np.array_equal(again.embeddings("test"), first)
    assert again.backbone.forwards == 0
    other = bench(kept=ArrayCache(tmp_path / "embeddings", "cd" * 32))
    other.embeddings("test")
    assert other.backbone.forwards == 1


def test_a_damaged_embedding_file_is_named(tmp_path):
    kept = ArrayCache(tmp_path, "ab" * 32)
    bench(kept=kept).embeddings("test")
    path = next(tmp_path.glob("test-*.npy"))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match=r"test-abab.*damaged.*delete it"):
        bench(kept=kept).embeddings("test")


def test_embeddings_that_cannot_be_written_are_told(tmp_path):
    (tmp_path / "embeddings").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot write.*make room"):
        bench(kept=ArrayCache(tmp_path / "embeddings", "ab" * 32)).embeddings("test")


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda one: one.targets("train", "mass"), "'arrays' has no target 'mass'; its targets: 'class', 'radius'"),
        (lambda one: one.draws("mass"), "has no target 'mass'"),
        (lambda one: one.embeddings("dev"), "no split 'dev'; its splits: 'train', 'val', 'test', 'empty'"),
        (lambda one: one.targets("dev", "class"), "no split 'dev'"),
        (lambda one: one.embeddings("empty"), "split 'empty' of data set 'arrays' has no images"),
    ],
)
def test_what_does_not_exist_is_named(ask, message):
    with pytest.raises(UserError, match=message):
        ask(bench())


class Says(Evaluator):
    """Measures what its options say."""

    def evaluate(self, bench):
        yield from self.options


def test_measurements_are_signed():
    says = Says([Measurement(metric="r2", value=1, low=0, high=1), Measurement(metric="r2", value=1, low=1, high=2)])
    signed = list(judge(says, "mine", bench(encoder="untrained")))
    assert [(m.evaluator, m.encoder) for m in signed] == [("mine", "untrained")] * 2
    own = Says([Measurement(metric="r2", value=1, low=0, high=1, encoder="supervised")])
    assert next(judge(own, "mine", bench())).encoder == "supervised"


@pytest.mark.parametrize(
    "ends", [(float("nan"), 0, 1), (0.5, float("nan"), 1), (0.5, 0, float("inf")), (0.5, 0.6, 1), (2, 0, 1)]
)
def test_measurements_that_mean_nothing_are_refused(ends):
    value, low, high = ends
    says = Says([Measurement(metric="r2", target="radius", labels=30, value=value, low=low, high=high)])
    with pytest.raises(UserError, match=r"'mine' measured r2 = .* 'radius' with 30 labels"):
        list(judge(says, "mine", bench()))


def test_what_runs_share_is_computed_by_the_first(tmp_path):
    shared, made = ArrayCache(tmp_path / ".shared", "ab" * 32), []

    def make():
        made.append(1)
        return np.arange(3.0)

    for depends in ({"draw": 0}, {"draw": 0}, {"draw": 1}):
        assert bench(shared=shared).once("guess", depends, make).tolist() == [0, 1, 2]
    assert len(made) == 2
    bench(shared=ArrayCache(tmp_path / ".shared", "cd" * 32)).once("guess", {"draw": 0}, make)
    assert bench().once("guess", {"draw": 0}, make).tolist() == [0, 1, 2]  # nowhere to keep it
    assert len(made) == 4


def test_training_is_in_the_runs_precision():
    with bench(arithmetic=lambda: torch.autocast("cpu", dtype=torch.bfloat16)).autocast():
        assert torch.is_autocast_enabled("cpu")
    with bench().autocast():
        assert not torch.is_autocast_enabled("cpu")
