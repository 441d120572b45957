"""How the C library treats freed memory."""

import ctypes
import platform

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Options of glibc's `mallopt` (its malloc.h)."""


def keep_freed_memory() -> None:
    """Lets the process reuse large blocks that it freed, where the C library is glibc.

    By default glibc hands a freed block of more than 32 MB back to the system, and the next one costs a page fault for
    every 4 KB; a training step makes dozens of such blocks and frees them again.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, 2**31 - 1)
