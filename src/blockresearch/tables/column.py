"""What a column, a table and a low-bit format state about themselves, and the units of columns."""

from dataclasses import dataclass

# Unit of a number that has none: an index, a count of what the column is named after, a ratio.
NONE = "none"

# Units of the weights, of their squares and of their reciprocals.
WEIGHT, WEIGHT_SQUARED, PER_WEIGHT = "w", "w²", "1/w"

# Unit of what an MLP adds to a channel: three weights with a gate, two without.
OF_MLP = "w³, or w² without a gate"

SHARE, ELEMENTS, BYTES, DECIBEL, BITS = "share", "elements", "bytes", "dB", "bits per element"


@dataclass(frozen=True)
class Column:
    """One column.

    `type` is string, integer, number, boolean, integers or numbers (lists). Every numeric column
    states its `unit`, NONE if it has none, and every number its `formula`. `source` is the
    publication that defines it, empty if the formula is common knowledge or our own. `label` is
    the short title on pages, by default the name.
    """

    name: str
    type: str
    meaning: str
    unit: str = ""
    formula: str = ""
    source: str = ""
    label: str = ""

    @property
    def title(self) -> str:
        """The heading of the column on pages."""
        return self.label or self.name


@dataclass(frozen=True)
class Schema:
    """One table: the files that contain it, what a row is, and its columns in order."""

    files: str
    row: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class LowBitFormat:
    """A format to which weights are rounded, computed by values/rounding/formats/`name`.py.

    `bits` per weight include the scales: 16 bits each in the integer formats, 32 in NF4, 8 in
    MXFP4 and NVFP4; those of a row or a matrix hardly count.
    """

    name: str
    label: str
    bits: float
    meaning: str
    source: str = ""
