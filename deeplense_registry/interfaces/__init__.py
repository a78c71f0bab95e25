"""What a plugin implements: Method, Backbone, Dataset and Evaluator, and the values they exchange."""

from .backbone import Backbone, Features
from .dataset import Dataset, Sample
from .evaluator import Bench, Draw, Evaluator, Measurement
from .method import Embed, Loss, Method, Outputs, Progress
from .recipe import ParameterGroup, Recipe, split_by_decay
from .views import PaperRecipe, ViewOp, ViewPlan, Views, ViewSpec
from .world import World

__all__ = [
    "Backbone",
    "Bench",
    "Dataset",
    "Draw",
    "Embed",
    "Evaluator",
    "Features",
    "Loss",
    "Measurement",
    "Method",
    "Outputs",
    "PaperRecipe",
    "ParameterGroup",
    "Progress",
    "Recipe",
    "Sample",
    "ViewOp",
    "ViewPlan",
    "ViewSpec",
    "Views",
    "World",
    "split_by_decay",
]
