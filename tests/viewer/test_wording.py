"""What the panel says, to a page that runs what it gets."""

import html

import pytest

from ovs3d.viewer.wording import EXPLAINED, HELP, NAMED, describe, plain


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "{process.exit()}", "`a` *b* [c](d) # e", "\u8336 \U0001f6aa"]
)
def test_text_holds_no_marks_and_reads_as_it_was(text: str) -> None:
    shown = plain(text)
    assert not set("<>{}`*[]()_\\").intersection(shown) and html.unescape(shown) == text


def test_lines_become_one() -> None:
    assert plain("a\n\nimport b") == "a import b"


def test_without_questions_and_problems_the_panel_tells_what_to_do() -> None:
    assert describe([], []) == HELP


def test_several_words_are_listed_with_their_colours_up_to_a_number() -> None:
    text = describe([f"word{index}" for index in range(NAMED + 3)], [])
    assert text.count("&#9632;") == NAMED and text.endswith("and 3 more.")
    assert f"word{NAMED - 1}" in text and f"word{NAMED}" not in text


def test_problems_are_told_beside_the_answers_up_to_a_number() -> None:
    text = describe(["cup"], [f"no {index}" for index in range(EXPLAINED + 2)])
    assert "no 0" in text and f"no {EXPLAINED}" not in text and "2 more words" in text and "cup" in text
