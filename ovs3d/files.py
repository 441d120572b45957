"""Files that appear whole or not at all, and their JSON."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ovs3d.errors import UserError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a name to write to, which becomes `path` when the block ends without an exception.

    Until then, and after an exception, an earlier file of that name stays as it was. The name ends as `path` does,
    because many writers choose the format by it.

    Raises:
        UserError: the file or its folder cannot be written.
    """
    make_folder(path.parent)
    draft = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield draft
        draft.replace(path)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path} cannot be written ({reason}); free space on its disk, or write elsewhere.") from error
    finally:
        draft.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Makes a folder, and those above it, unless it is there.

    Raises:
        UserError: it cannot be made, because a file has its name, for example.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be made ({error.strerror}); name another one.") from error


def json_text(content: Mapping[str, object]) -> str:
    """JSON of what may hold numpy and torch scalars (numbers there), their arrays (lists) and paths (strings).

    Numbers that are not finite become null.
    """
    return json.dumps(_plain(content), indent=2, allow_nan=False, ensure_ascii=False)


def _plain(value: object) -> object:
    """`value` in the types of JSON."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):
        return _plain(value.tolist())  # pyright: ignore[reportAttributeAccessIssue]
    return str(value) if isinstance(value, Path) else value
