"""The options of the six evaluators."""

from __future__ import annotations

from typing import Any, Literal

from attrs import NOTHING, frozen, validators

from deeplense_registry import option, ordered

Range = tuple[float, float]

_not_empty: Any = validators.min_len(1)
_at_least_one: Any = validators.ge(1)
_positive: Any = validators.gt(0.0)
_not_negative: Any = validators.ge(0.0)


@frozen
class SimilarityOptions:
    """``[evaluate.similarity]``: the nearest images by cosine, and what they share with the query."""

    targets: tuple[str, ...] = option("Classes or quantities that neighbours should share.", NOTHING, _not_empty)
    k: tuple[int, ...] = option(
        "Numbers of neighbours to measure at.", (1, 10), _not_empty, validators.deep_iterable(_at_least_one)
    )
    among: str = option('The split that is searched; of "test" the query itself is left out.', "train", _not_empty)
    search: Literal["exact", "faiss"] = option(
        'In torch, by chunks ("exact"), or in a flat FAISS index; both find the same neighbours.', "exact"
    )
    queries: int = option("Queries in the gallery, spread over classes or the quantity's range.", 6, _at_least_one)
    shown: int = option("Neighbours beside each query in the gallery.", 7, _at_least_one)


@frozen
class AnomalyOptions:
    """``[evaluate.anomaly]``: one class is left out of the reference set and must stand out."""

    target: str = option("The class target of which one class is held out.", NOTHING, _not_empty)
    held_out: str | None = option("The class held out; by default each in turn.", None)
    detectors: tuple[Literal["knn", "isolation_forest", "density"], ...] = option(
        "Scores: distance to the nearest reference images, isolation forest, Gaussian mixture on principal components.",
        ("knn", "isolation_forest", "density"),
        _not_empty,
    )
    k: int = option('Neighbours whose mean distance is the score of "knn".', 5, _at_least_one)
    trees: int = option("Trees of the isolation forest.", 200, _at_least_one)
    components: int = option(
        "Principal components under the mixture; as many as the embeddings have where they have fewer.",
        16,
        _at_least_one,
    )
    mixtures: int = option("Gaussians of the mixture.", 4, _at_least_one)


@frozen
class TrustOptions:
    """``[evaluate.trust]``: does the distance to the nearest labelled images foretell errors?"""

    targets: tuple[str, ...] = option("Classes or quantities to predict.", NOTHING, _not_empty)
    k: int = option("Labelled images whose mean distance is the score; all where there are fewer.", 5, _at_least_one)
    strength: float = option(
        "Regularisation of the probe: the mean loss plus strength / 2 (classes) or strength (quantities) times the "
        "squared weights is minimised.",
        0.1,
        _positive,
    )
    coverage: float = option(
        "Fraction of images kept, the most trusted first, at which the risk is reported.",
        0.8,
        validators.gt(0.0),
        validators.le(1.0),
    )
    shifted: str = option(
        'Out-of-distribution images: the test images seen under `noise` and `psf` ("views"), the name of a split, or '
        '"none".',
        "views",
        _not_empty,
    )
    noise: Range = option(
        "Range of the noise level of shifted images, in standard deviations of the training images' pixels.",
        (0.5, 1.0),
        ordered(0.0, 100.0),
    )
    psf: Range = option(
        "Range of the PSF width of shifted images (Gaussian sigma, pixels).", (0.0, 0.0), ordered(0.0, 20.0)
    )


@frozen
class InvarianceOptions:
    """``[evaluate.invariance]``: how far each augmentation moves an embedding. A strength of 0 leaves it out."""

    split: str = option("Whose images.", "test", _not_empty)
    most: int = option("Images at most, drawn at random.", 500, validators.ge(2))
    rotate: bool = option("Rotation by any angle.", True)
    shift: float = option("Largest shift along each axis, in pixels.", 2.0, _not_negative)
    zoom: float = option(
        "Magnification, up or down at random within it; 1 leaves it out.", 1.1, validators.ge(1.0), validators.le(10.0)
    )
    noise: float = option("Noise level, in standard deviations of the training images' pixels.", 0.3, _not_negative)
    psf: float = option("PSF width (Gaussian sigma, pixels).", 1.0, _not_negative, validators.le(20.0))
    mask: float = option("Fraction of the image hidden by a square.", 0.1, _not_negative, validators.le(0.9))
    curve: tuple[float, ...] = option(
        "Points of the curves, as multiples of each strength (of zoom, powers); what exceeds [views] is left out.",
        (0.25, 0.5, 1.0, 2.0),
        _not_empty,
        validators.deep_iterable(_positive),
    )


@frozen
class MapOptions:
    """``[evaluate.map]``: the space laid flat."""

    targets: tuple[str, ...] = option("Targets that colour it, a picture each; by default all.", ())
    method: Literal["tsne", "umap"] = option("How it is laid flat.", "tsne")
    split: str = option("Whose images.", "test", _not_empty)
    most: int = option("Images at most, drawn at random.", 2000, validators.ge(10))
    perplexity: float = option("Of t-SNE; at most a third of the images.", 30.0, validators.ge(1.0))
    neighbours: int = option("Of UMAP, at most the images less one.", 50, validators.ge(2))
    min_dist: float = option("Of UMAP.", 0.5, _not_negative, validators.le(1.0))
    thumbnail: int = option("Pixels along a thumbnail in TensorBoard's projector; 0 for none.", 32, validators.ge(0))


@frozen
class AttentionOptions:
    """``[evaluate.attention]``: where the backbone looks."""

    target: str | None = option("The class target whose classes are shown; by default the first, if any.", None)
    split: str = option("Whose images.", "test", _not_empty)
    examples: int = option("Images of each class, or in all where there are no classes.", 2, _at_least_one)
