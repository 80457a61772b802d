"""The paper read literally: what its authors do where lmos by default does otherwise.

For research and ablations; nothing else in lmos imports it. docs/paper.md is its guide.
"""

from lmos.paper.compressing import LITERAL, MEANS_ALONE, STRICT_MASK, TOKEN_ALONE
from lmos.paper.scoring import JointScorer

__all__ = ["LITERAL", "MEANS_ALONE", "STRICT_MASK", "TOKEN_ALONE", "JointScorer"]
