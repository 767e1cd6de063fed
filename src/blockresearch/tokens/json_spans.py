"""Cut a value out of a JSON text without parsing it.

One pass over the bytes follows strings and brackets, and nothing else. What remains is for a
parser; what is cut may be anything whose strings and brackets are closed.
"""

import numpy as np

from blockresearch.compiled import compiled

NULL = b"null"


def without_value(text: bytes, outer: bytes, inner: bytes) -> bytes:
    """A JSON text with null for the value of `inner` in the object `outer` of its object.

    Keys with escapes are not recognized. A text in which no such value ends is returned as it is.
    """
    start, stop = _span(*(np.frombuffer(some, np.uint8) for some in (text, outer, inner)))
    return text[:start] + NULL + text[stop:] if stop > start else text


@compiled
def _span(text, outer, inner):
    """Start and end of the value; twice 0 if there is none."""
    n = len(text)
    depth, at, start = 0, 0, 0
    # The last string, and whether the key at the first and at the second level is the right one.
    first, last = 0, 0
    is_outer, is_inner = False, False
    while at < n:
        byte = text[at]
        if byte == 34:  # a quotation mark
            first = at + 1
            at = first
            while at < n and text[at] != 34:
                at += 2 if text[at] == 92 else 1  # a backslash hides the next character
            last = at
        elif byte == 123 or byte == 91:  # { or [
            depth += 1
        elif byte == 125 or byte == 93 or byte == 44:  # } or ] or ,
            if depth == 2 and is_inner:
                return start, at
            if byte != 44:
                depth -= 1
            if depth == 1:
                is_outer = False
        elif byte == 58:  # :
            if depth == 1:
                is_outer = _equals(text, first, last, outer)
            elif depth == 2 and is_outer:
                is_inner = _equals(text, first, last, inner)
                start = at + 1
        at += 1
    return 0, 0


@compiled
def _equals(text, first, last, other):
    if last - first != len(other):
        return False
    equal = 0
    for place in range(len(other)):
        equal += text[first + place] == other[place]
    return equal == len(other)
