"""lmos: a life-long context for language models, compressed and searched by the model itself.

The few names that most programs need; everything else is in the module that its name says.
"""

from lmos.errors import LmosError
from lmos.model import BaseModel
from lmos.retriever import RetrievalConfig
from lmos.session import Answer, Citation, Session, UntrainedWarning, load_model

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "BaseModel",
    "Citation",
    "LmosError",
    "RetrievalConfig",
    "Session",
    "UntrainedWarning",
    "__version__",
    "load_model",
]
