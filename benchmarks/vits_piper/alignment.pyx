# cython: language_level=3, boundscheck=False, wraparound=False
"""Find the best monotonic path of each clip (Kim et al. 2020, arXiv 2005.11129, section 3.1), in compiled code.

Piper's package imports such a module, which neither its wheel nor its source archive has.
"""


def maximum_path_c(int[:, :, ::1] paths, float[:, :, ::1] scores, int[::1] frames, int[::1] symbols):
    """Write 1 into ``paths`` [B, T, L] where the best path of each clip goes; ``scores`` become sums along paths."""
    cdef Py_ssize_t clip, frame, symbol
    cdef float stay, move
    for clip in range(paths.shape[0]):
        for frame in range(frames[clip]):
            for symbol in range(min(symbols[clip], frame + 1)):
                if frame == 0:
                    continue
                stay = scores[clip, frame - 1, symbol] if symbol < frame else -1e30
                move = scores[clip, frame - 1, symbol - 1] if symbol > 0 else -1e30
                scores[clip, frame, symbol] += max(stay, move)
        symbol = symbols[clip] - 1
        for frame in range(frames[clip] - 1, -1, -1):
            paths[clip, frame, symbol] = 1
            if symbol > 0 and (
                symbol == frame or scores[clip, frame - 1, symbol - 1] > scores[clip, frame - 1, symbol]
            ):
                symbol -= 1
