"""The compiled inner loops of the value pass: counting codes, sums over rows and columns, moments.

Each loop is one thread, holds no Python object and releases the interpreter lock. Loops that only
add or compare are written so that the compiler vectorizes them: one plain loop per quantity.
"""

import numpy as np

from blockresearch.compiled import compiled, float_of


@compiled
def count_codes(codes, counts):
    """counts[c] += 1 for every code."""
    for i in range(len(codes)):
        counts[codes[i]] += 1


@compiled
def scan(codes, tile, counts, form, position, cols, sides, top):
    """One sweep over row-major float codes, the first of them element `position` of the tensor.

    Works in tiles of `tile` elements, which every loop after the first finds in the cache. Each
    loop updates one quantity of the columns, so that it stays in the cache as well.
    `counts`, if not empty, counts the codes. `form` = (magnitude mask, exponent mask, code of
    infinity, code of the smallest normal number, shift to the bits of a float32 or float64).
    `sides` = (row sums, row peaks, column sums, column peaks): sums [2, ·] get w² and the square of
    the power of two at or below |w| (of the smallest normal number below that), peaks [·] the
    largest magnitude code; all empty for a vector. `top` = (codes, places) of the largest |w|,
    sorted. Codes of NaN and Inf count as zero in `sides` and `top`.
    """
    row_sums, row_peaks, col_sums, col_peaks = sides
    sizes = np.empty(min(tile, len(codes)), dtype=codes.dtype)
    for first in range(0, len(codes), tile):
        part, place = codes[first : first + tile], position + first
        size = sizes[: len(part)]
        if len(counts):
            count_codes(part, counts)
        take_sizes(part, form, size)
        peak = largest(size)
        if len(row_peaks):
            add_peaks(size, place, cols, row_peaks, col_peaks)
            add_squares(size, form[4], place, cols, row_sums[0], col_sums[0])
            keep_powers(size, form)
            add_squares(size, form[4], place, cols, row_sums[1], col_sums[1])
        if peak > top[0][-1] & form[0]:
            keep_largest(part, form, place, top[0], top[1])


@compiled
def take_sizes(codes, form, sizes):
    """Write the magnitude codes, 0 for NaN and Inf, to `sizes`."""
    magnitude, infinity = form[0], form[2]
    zero = codes.dtype.type(0)
    for i in range(len(codes)):
        size = codes[i] & magnitude
        sizes[i] = size if size < infinity else zero


@compiled
def largest(sizes):
    """The largest of magnitude codes."""
    highest = sizes.dtype.type(0)
    for i in range(len(sizes)):
        highest = max(highest, sizes[i])
    return highest


@compiled
def keep_powers(sizes, form):
    """Replace magnitude codes by that of the power of two at or below them, 0 by 0."""
    exponent, least = form[1], form[3]
    zero = sizes.dtype.type(0)
    for i in range(len(sizes)):
        power = max(sizes[i] & exponent, least)
        sizes[i] = power if sizes[i] else zero


@compiled
def add_peaks(sizes, position, cols, row_peaks, col_peaks):
    """Largest magnitude code of each row and column."""
    start = 0
    while start < len(sizes):
        i, j = (position + start) // cols, (position + start) % cols
        width = min(cols - j, len(sizes) - start)
        row, peaks = sizes[start : start + width], col_peaks[j:]
        peak = sizes.dtype.type(0)
        for k in range(width):
            peak = max(peak, row[k])
            peaks[k] = max(peaks[k], row[k])
        row_peaks[i] = max(row_peaks[i], peak)
        start += width


@compiled
def add_squares(sizes, shift, position, cols, row_sums, col_sums):
    """Sums of the squares of magnitude codes of each row and column.

    Whole rows are taken four at a time: a column's sum is loaded and stored once for the four.
    """
    start = 0
    while start < len(sizes):
        i, j = (position + start) // cols, (position + start) % cols
        if j == 0 and len(sizes) - start >= 4 * cols:
            four = sizes[start : start + 4 * cols]
            add_squares_of_four(four, shift, row_sums[i : i + 4], col_sums)
            start += 4 * cols
        else:
            width = min(cols - j, len(sizes) - start)
            row = sizes[start : start + width]
            row_sums[i] += add_squares_of_one(row, shift, col_sums[j : j + width])
            start += width


@compiled(fastmath={"reassoc", "contract"})
def add_squares_of_one(row, shift, col_sums):
    """Add the squares of a row [n] to the columns' sums [n]; returns their sum."""
    total = 0.0
    for k in range(len(row)):
        value = np.float64(float_of(row[k], shift))  # type: ignore[call-arg]
        value *= value
        total += value
        col_sums[k] += value
    return total


@compiled(fastmath={"reassoc", "contract"})
def add_squares_of_four(sizes, shift, row_sums, col_sums):
    """Add the squares of four rows, joined in `sizes` [4 n], to the sums [4] and [n]."""
    n = len(col_sums)
    first, second, third, fourth = sizes[:n], sizes[n : 2 * n], sizes[2 * n : 3 * n], sizes[3 * n :]
    a = b = c = d = 0.0
    for k in range(n):
        p = np.float64(float_of(first[k], shift))  # type: ignore[call-arg]
        q = np.float64(float_of(second[k], shift))  # type: ignore[call-arg]
        r = np.float64(float_of(third[k], shift))  # type: ignore[call-arg]
        s = np.float64(float_of(fourth[k], shift))  # type: ignore[call-arg]
        p *= p
        q *= q
        r *= r
        s *= s
        a += p
        b += q
        c += r
        d += s
        col_sums[k] += (p + q) + (r + s)
    row_sums[0] += a
    row_sums[1] += b
    row_sums[2] += c
    row_sums[3] += d


@compiled
def keep_largest(codes, form, position, top_codes, top_places):
    """Insert the larger of `codes` into the sorted `top_codes`; ties keep the earlier place."""
    magnitude, infinity = form[0], form[2]
    last = len(top_codes) - 1
    for i in range(len(codes)):
        size = codes[i] & magnitude
        if size < infinity and size > top_codes[last] & magnitude:
            slot = last
            while slot > 0 and size > top_codes[slot - 1] & magnitude:
                top_codes[slot] = top_codes[slot - 1]
                top_places[slot] = top_places[slot - 1]
                slot -= 1
            top_codes[slot] = codes[i]
            top_places[slot] = position + i


@compiled
def weighted_moments(values, counts):
    """Mean of `values` with `counts`, and the sums of the 2nd, 3rd and 4th powers of deviations.

    Compensated addition (Neumaier) in the given order: the same bits on every machine.
    """
    total = 0
    for i in range(len(counts)):
        total += counts[i]
    sums = np.zeros(4)
    rests = np.zeros(4)
    for power in range(4):
        for i in range(len(values)):
            deviation = values[i] - (sums[0] + rests[0]) if power else values[i] / total
            term = counts[i] * deviation
            for _ in range(power):
                term *= deviation
            added = sums[power] + term
            if abs(sums[power]) >= abs(term):
                rests[power] += (sums[power] - added) + term
            else:
                rests[power] += (term - added) + sums[power]
            sums[power] = added
    moments = sums + rests
    return moments[0], moments[1], moments[2], moments[3]


@compiled
def count_bins(bits, shift, fine):
    """Count float bits by their leading ones."""
    for i in range(len(bits)):
        fine[bits[i] >> shift] += 1


@compiled
def count_within(bits, shift, slots, within):
    """Count the low bits of those floats whose leading bits have a slot (-1: none)."""
    low = (bits.dtype.type(1) << shift) - bits.dtype.type(1)
    for i in range(len(bits)):
        slot = slots[bits[i] >> shift]
        if slot >= 0:
            within[slot, bits[i] & low] += 1


@compiled(fastmath={"reassoc", "contract", "nnan", "nsz"})
def count_values(values, bits, low_bits, sparsity_threshold):
    """Numbers of zeros, of |w| ≤ sparsity_threshold and of values exact in float16 (finite values).

    `low_bits` are the mantissa bits that float16 does not have.
    """
    zeros = small = exact = 0
    for i in range(len(values)):
        size = abs(np.float64(values[i]))
        zeros += size == 0.0
        small += size <= sparsity_threshold
    for i in range(len(values)):
        size = abs(np.float64(values[i]))
        steps = size * 2.0**24
        normal = (size >= 2.0**-14) & (size <= 65504.0) & (bits[i] & low_bits == 0)
        exact += normal | ((size < 2.0**-14) & (np.floor(steps) == steps))
    return zeros, small, exact


@compiled(fastmath={"reassoc", "contract", "nnan", "nsz"})
def chan_update(values, moments):
    """Merge finite values into (n, mean, M2, M3, M4), a block at a time."""
    part = np.empty(5)
    for start in range(0, len(values), 4096):
        block = values[start : start + 4096]
        count = len(block)
        total = 0.0
        for i in range(count):
            total += np.float64(block[i])
        mean = total / count
        d1 = d2 = d3 = d4 = 0.0
        for i in range(count):
            deviation = np.float64(block[i]) - mean
            square = deviation * deviation
            d1 += deviation
            d2 += square
            d3 += square * deviation
            d4 += square * square
        # The rounded mean is off by d1 / count.
        shift = d1 / count
        part[0], part[1] = count, mean + shift
        part[2] = d2 - count * shift * shift
        part[3] = d3 - 3.0 * shift * d2
        part[4] = d4 - 4.0 * shift * d3
        chan_merge(moments, part)


@compiled
def chan_merge(a, b):
    """Merge b into a; both are (n, mean, M2, M3, M4). Pébay 2008, eqs. 2.1 and 3.1."""
    if b[0] == 0.0:
        return
    n = a[0] + b[0]
    delta = b[1] - a[1]
    step = delta / n
    p, q = a[0], b[0]
    m4 = (
        a[4]
        + b[4]
        + delta * step * step * step * p * q * (p * p - p * q + q * q)
        + 6.0 * step * step * (p * p * b[2] + q * q * a[2])
        + 4.0 * step * (p * b[3] - q * a[3])
    )
    m3 = a[3] + b[3] + delta * step * step * p * q * (p - q) + 3.0 * step * (p * b[2] - q * a[2])
    a[2] += b[2] + delta * step * p * q
    a[3], a[4] = m3, m4
    a[1] += step * q
    a[0] = n
