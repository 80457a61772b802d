"""The paper read literally: what its authors do where lmos by default does otherwise.

For research and ablations; nothing else in lmos imports it. docs/paper.md is its guide.
"""

from lmos.paper.compressing import LITERAL as LITERAL
from lmos.paper.compressing import MEANS_ALONE as MEANS_ALONE
from lmos.paper.compressing import STRICT_MASK as STRICT_MASK
from lmos.paper.compressing import TOKEN_ALONE as TOKEN_ALONE
from lmos.paper.scoring import JointScorer as JointScorer
