"""The compiled inner loops of the pass over both sides of a pair.

Each loop is one thread, holds no Python object and releases the interpreter lock. Loops that only
add or compare are written so that the compiler vectorizes them: one row at a time.
"""

import numpy as np

from blockresearch.compiled import compiled, float_of


@compiled
def add_products(a, b, columns, totals, explained, changes, peaks):
    """Add the sums of two panels [n, cols] of finite values, float32 or float64 alike.

    `columns` [4, cols] gets Σ a², Σ b², Σ ab, Σ Δ² of each column. `totals` [8] gets Σ a², Σ b²,
    Σ ab, Σ Δ², Σ |Δ|, Σ |a| + |b|, and the numbers of ab < 0 and of b = 0 ≠ a. Of each row,
    `explained` [n] is the part of Σ b² that the best factor for all of a explains, `changes` [n]
    Σ Δ², `peaks` [n] the largest |Δ|.
    """
    for i in range(len(a)):
        x, y = a[i], b[i]
        first, second, product = add_squares(x, y, columns[0], columns[1], columns[2])
        changes[i], peaks[i] = add_changes(x, y, columns[3], totals)
        totals[0] += first
        totals[1] += second
        totals[2] += product
        explained[i] = product * product / first if first > 0 else 0.0


@compiled(fastmath={"reassoc", "contract"})
def add_squares(x, y, firsts, seconds, products):
    """Add x², y², xy of two rows [cols] to the columns' sums; returns the sums of the rows."""
    first = second = product = 0.0
    for k in range(len(x)):
        p, q = np.float64(x[k]), np.float64(y[k])
        firsts[k] += p * p
        seconds[k] += q * q
        products[k] += p * q
        first += p * p
        second += q * q
        product += p * q
    return first, second, product


@compiled(fastmath={"reassoc", "contract"})
def add_changes(x, y, squared, totals):
    """Add the sums and counts of Δ = y - x of two rows [cols] to totals[3:], Δ² to `squared`
    [cols]; returns Σ Δ² and max |Δ|."""
    squares = sizes = both = peak = 0.0
    flips = zeroed = np.int64(0)
    # Conditions without branches, counted as integers: otherwise nothing is vectorized.
    for k in range(len(x)):
        p, q = np.float64(x[k]), np.float64(y[k])
        size = abs(q - p)
        squared[k] += size * size
        squares += size * size
        sizes += size
        both += abs(p) + abs(q)
        peak = max(peak, size)
        flips += np.int64(((p < 0) & (q > 0)) | ((q < 0) & (p > 0)))
        zeroed += np.int64((q == 0) & (p != 0))
    totals[3] += squares
    totals[4] += sizes
    totals[5] += both
    totals[6] += flips
    totals[7] += zeroed
    return squares, peak


@compiled
def add_squared_steps(codes, form, share, least, rows, cols):
    """Add the squared spacing of the stored type at each value of a panel [n, cols] to the sums of
    `rows` [n] and `cols` [cols].

    `codes` are the bits of float32 or float64 values, `form` = (magnitude mask, exponent mask,
    0), all of their type. The spacing is `share` of the power of two at or below |w|, which is at
    least `least`; it is 0 at 0 and at values that are not finite.
    """
    for i in range(len(codes)):
        rows[i] += add_steps_of_row(codes[i], form, share, least, cols)


@compiled(fastmath={"reassoc", "contract"})
def add_steps_of_row(row, form, share, least, cols):
    """Add the squared spacings at the values of a row [cols]; returns their sum."""
    magnitude, exponent, none = form
    total = 0.0
    for k in range(len(row)):
        size = row[k] & magnitude
        power = np.float64(float_of(size & exponent, none))  # type: ignore[call-arg]
        step = max(power, least) * share
        square = step * step if none < size < exponent else 0.0
        cols[k] += square
        total += square
    return total


@compiled
def count_distances(mine, theirs, sign, shift, distances, histograms):
    """Count how far the codes uint32 [n] of both sides are apart; returns how many differ.

    Codes with the bit `sign` are those of negative values. A distance is counted in `distances` by
    the bits of its float32 without the last `shift`. `histograms` [2, 65536], if not empty, counts
    the codes of each side in the order of their values, which begins at -32768.
    """
    magnitude = sign - np.uint32(1)
    distance = np.empty(1, np.float32)
    bits = distance.view(np.uint32)
    changed = 0
    for i in range(len(mine)):
        p, q = np.int64(mine[i] & magnitude), np.int64(theirs[i] & magnitude)
        p, q = -p if mine[i] & sign else p, -q if theirs[i] & sign else q
        changed += p != q
        distance[0] = abs(p - q)
        distances[bits[0] >> shift] += 1
        if histograms.shape[1]:
            histograms[0, p + 32768] += 1
            histograms[1, q + 32768] += 1
    return changed
