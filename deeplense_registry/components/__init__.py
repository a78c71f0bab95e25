"""What a plugin declares and how it is found. Torch-free."""

from .card import DatasetCard
from .catalogue import Row, catalogue
from .errors import PluginError, UserError
from .files import contents_fingerprint, files_fingerprint
from .hookspecs import PROJECT, ObserverHooks, hookimpl
from .loading import find, load_factory, load_options
from .options import option, ordered
from .record import API, KINDS, Component
from .scan import Found, names, scan
from .seeds import derive_seed
from .values import BackboneFacts, DatasetFacts, ImageShape, RunFacts, Target

__all__ = [
    "API",
    "KINDS",
    "PROJECT",
    "BackboneFacts",
    "Component",
    "DatasetCard",
    "DatasetFacts",
    "Found",
    "ImageShape",
    "ObserverHooks",
    "PluginError",
    "Row",
    "RunFacts",
    "Target",
    "UserError",
    "catalogue",
    "contents_fingerprint",
    "derive_seed",
    "files_fingerprint",
    "find",
    "hookimpl",
    "load_factory",
    "load_options",
    "names",
    "option",
    "ordered",
    "scan",
]
