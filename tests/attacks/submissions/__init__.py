"""The attacks, by group. Every one that was ever found stays."""

from submissions.bombs import BOMBS
from submissions.crashes import CRASHES
from submissions.forgeries import FORGERIES
from submissions.hangs import HANGS
from submissions.oddities import ODDITIES
from submissions.output import OUTPUT
from submissions.readers import READERS
from submissions.tampering import TAMPERING
from submissions.tensors import TENSORS

GROUPS = {
    "crashes": CRASHES,
    "hangs": HANGS,
    "bombs": BOMBS,
    "forged": FORGERIES,
    "reads": READERS,
    "tampers": TAMPERING,
    "output": OUTPUT,
    "tensors": TENSORS,
    "oddities": ODDITIES,
}
