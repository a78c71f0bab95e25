"""What a run is. Torch-free."""

from .existing import ShardsOptions
from .expand import expand
from .facts import cell_faults, check_facts, run_facts
from .load import load_spec, structure_options
from .model import Cell, Instance, Spec, digest_of
from .problems import Problem, SpecError
from .schema import json_schema
from .skew import SkewTable, skew_faults
from .tables import ExecuteTable, FluxTable, LabelsTable, RunTable, TrainTable, ViewsTable
from .write import annotated, to_toml

__all__ = [
    "Cell",
    "ExecuteTable",
    "FluxTable",
    "Instance",
    "LabelsTable",
    "Problem",
    "RunTable",
    "ShardsOptions",
    "SkewTable",
    "Spec",
    "SpecError",
    "TrainTable",
    "ViewsTable",
    "annotated",
    "cell_faults",
    "check_facts",
    "digest_of",
    "expand",
    "json_schema",
    "load_spec",
    "run_facts",
    "skew_faults",
    "structure_options",
    "to_toml",
]
