"""The words of a segmentation: what stands after `--classes` and in `classes.txt`."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ovs3d.errors import UserError

Classes = tuple[tuple[str, tuple[str, ...]], ...]
"""((name, (prompt, ...)), ...) in the order of the class indices."""

CLASSES_FILE = "classes.txt"
MASKS_FOLDER = "segmentations"


def name_key(name: str) -> str:
    """The form under which two class names are the same: lower case, single spaces."""
    return " ".join(name.split()).casefold()


def parse_classes(entries: Iterable[tuple[str, str]], source: str, minimum: int) -> Classes:
    """Parses entries "name" or "name: prompt | prompt"; a name without prompts is its own prompt.

    Args:
        entries: (where it stands, text) of each entry; the place is named in errors.
        source: where all of them come from, named in errors.
        minimum: smallest number of classes that makes sense.

    Raises:
        UserError: on an empty name or prompt, a name given twice, or fewer than `minimum` classes.
    """
    classes: list[tuple[str, tuple[str, ...]]] = []
    first_seen: dict[str, str] = {}
    for place, text in entries:
        name, colon, rest = text.partition(":")
        name = " ".join(name.split())
        prompts = tuple(" ".join(prompt.split()) for prompt in rest.split("|")) if colon else (name,)
        if not name:
            raise UserError(f"{place} has no class name; write it as 'name' or 'name: prompt | prompt'.")
        if not all(prompts):
            raise UserError(f"{place} has an empty prompt for '{name}'; write it as 'name: prompt | prompt'.")
        key = name_key(name)
        if key in first_seen:
            raise UserError(f"{place} names the class '{name}' again after {first_seen[key]}; remove one of the two.")
        first_seen[key] = place
        classes.append((name, prompts))
    if len(classes) < minimum:
        found = "no class" if not classes else f"only the class '{classes[0][0]}'"
        raise UserError(f"{source} gives {found}; a segmentation needs at least {minimum}, one entry for each class.")
    return tuple(classes)


def read_classes_file(path: Path, minimum: int = 2) -> Classes:
    """Reads one class per line; empty lines and what follows `#` are skipped.

    Raises:
        UserError: names the file and line; see `parse_classes`.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text ({error}); save it as UTF-8, one class per line.") from error
    texts = [(f"{path}, line {number},", line.partition("#")[0].strip()) for number, line in enumerate(lines, 1)]
    return parse_classes([(place, text) for place, text in texts if text], str(path), minimum)


def resolve_classes(words: Sequence[str], folder: Path) -> Classes:
    """The classes asked for: `words` if any, else the scene's own list.

    The 3D-OVS list is sorted by name, as its authors' code does; every other list keeps its order.

    Args:
        words: entries of `--classes`, each "name" or "name: prompt | prompt".
        folder: the scene's folder.

    Raises:
        UserError: if there is no list at all, or a bad one; see `parse_classes`.
    """
    if words:
        return parse_classes([(f"--classes entry {i}", word) for i, word in enumerate(words, 1)], "--classes", 2)
    if (folder / CLASSES_FILE).is_file():
        return read_classes_file(folder / CLASSES_FILE)
    masks_list = folder / MASKS_FOLDER / CLASSES_FILE
    if masks_list.is_file():
        return tuple(sorted(read_classes_file(masks_list)))
    raise UserError(f'No classes are given; pass --classes "a red apple" "wall" or write {folder / CLASSES_FILE}.')
