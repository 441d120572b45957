"""What the panel says. The viewer's page runs what it gets as MDX, a language with code in it."""

from collections.abc import Sequence

from ovs3d.palette import class_colours

HELP = (
    "Type words, with commas between several, or pick a place in the view: the output `relevancy` shows where they "
    "are. Classes of the output `segmentation` can be switched off below."
)
NAMED, EXPLAINED = 20, 3
"""Words that are listed with their colours, and problems that are, at most."""


def plain(text: str) -> str:
    """Text that shows as it is: as character references, in which the page finds neither marks nor code."""
    return "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in " ".join(text.split()))


def describe(names: Sequence[str], problems: Sequence[str]) -> str:
    """What is shown, with the colours of several words, and what could not be asked."""
    blocks = [f"**Note:** {plain(problem)}" for problem in problems[:EXPLAINED]]
    if len(problems) > EXPLAINED:
        blocks.append(f"**Note:** {len(problems) - EXPLAINED} more words cannot be asked.")
    if len(names) == 1:
        blocks.append(f"Shown: {plain(names[0])}. Blue is a score of 0, red of 1.")
    elif len(names) > 1:
        colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in class_colours(len(names))]
        swatches = [
            f'<span style={{{{color: "{colour}"}}}}>&#9632;</span> {plain(name)}'
            for name, colour in zip(names[:NAMED], colours, strict=False)
        ]
        more = f", and {len(names) - NAMED} more" if len(names) > NAMED else ""
        blocks.append(f"Shown: {', '.join(swatches)}{more}.")
    return "\n\n".join(blocks) if len(blocks) > 0 else HELP
