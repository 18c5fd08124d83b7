"""Pictures and guides belong together: none is missing, none is left over, and all have words."""

from tests.stories import pictures

MOST_BYTES = 3_000_000


def test_each_picture_that_a_guide_names_is_there_and_no_other() -> None:
    assert pictures.kept(pictures.FOLDER) == set(pictures.shown())


def test_each_has_words_for_those_who_do_not_see_it() -> None:
    assert {name for name, words in pictures.shown().items() if not all(words)} == set()


def test_all_together_are_small() -> None:
    assert sum(path.stat().st_size for path in pictures.FOLDER.iterdir()) < MOST_BYTES
