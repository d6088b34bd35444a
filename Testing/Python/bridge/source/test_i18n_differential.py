"""Translation: the stand-in answers as Slicer's own file does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from side_by_side import both, outcome

PIECES = st.sampled_from(["{count}", "{{x}}", "{a b}", "{}", "{", "}", "files ", "ä", "{name:.2f}"])
TEXTS = st.one_of(st.lists(PIECES, max_size=5).map("".join), st.text(max_size=20), st.none(), st.integers())


@given(text=TEXTS, translated=TEXTS)
def test_texts_are_translated_alike(text, translated):
    import slicer

    with pytest.MonkeyPatch.context() as patch:
        asked = []
        patch.setattr(type(slicer.app), "translate", lambda self, *what: asked.append(what) or translated)
        answers = []
        for module in both("i18n.py"):
            answers.append((outcome(module.tr, text), outcome(module.translate, "context", text), list(asked)))
            asked.clear()
    assert answers[0] == answers[1]


def test_the_context_is_that_of_the_calling_file(tmp_path):
    (tmp_path / "package").mkdir()
    for name in ("package/__init__.py", "package/inside.py", "alone.py"):
        (tmp_path / name).touch()
    own, stand_in = both("i18n.py")
    for name in ("package/inside.py", "package/__init__.py", "alone.py", "missing.py", "package"):
        path = str(tmp_path / name)
        assert own.getContext(path) == stand_in.getContext(path)
