"""How the C library treats freed memory."""

import ctypes
import platform

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
"""Options of glibc's `mallopt` (its malloc.h)."""


def keep_freed_memory() -> None:
    """Lets the process reuse large blocks that it freed, where the C library is glibc.

    By default glibc hands a freed block of more than 32 MB back to the system, and the next one costs a page fault for
    every 4 KB; a training step makes dozens of such blocks and frees them again.
    """
    _mallopt({MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1})


def return_freed_memory() -> None:
    """Undoes `keep_freed_memory`, for what is compared with it: glibc's own limits, once they have grown."""
    _mallopt({MMAP_MAX: 65536, MMAP_THRESHOLD: 2**25, TRIM_THRESHOLD: 2**26})


def _mallopt(options: dict[int, int]) -> None:
    if platform.libc_ver()[0] == "glibc":
        for option, value in options.items():
            ctypes.CDLL(None).mallopt(option, value)
