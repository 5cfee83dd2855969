import struct

import pytest

from counterfoil.documents import fonts


def drawn(family):
    (file,) = [file for folder in fonts.folders() for file in folder.glob("*.ttf") if family in file.name]
    ranges = fonts.characters(file.read_bytes())
    return lambda text: all(any(first <= ord(char) <= last for first, last in ranges) for char in text)


def test_each_package_draws_its_script():
    assert drawn("NotoSansDevanagari[")("क्षत्रिय")
    assert drawn("NotoSansTamil[")("திருக்குறள்")
    assert drawn("Almarai-Bold")("الإجمالي")
    assert drawn("NotoSansSC[")("关门")
    assert drawn("NotoSans[")("₹€−•…")
    assert not drawn("NotoSans[")("茶")


def test_a_mark_stands_for_what_no_font_draws():
    assert fonts.drawable("party 🎉🎉!") == f"party {fonts.MARK}!"
    for text in ("Ελλάδα ₹ क 茶 한 ق", "Zeile\nзеиле\t…", "\n"):
        assert fonts.drawable(text) == text


def test_a_language_of_the_east_looks_first_into_its_own_font():
    assert fonts.families("ko")[:2] == ("Noto Sans", "Noto Sans KR")
    assert fonts.families("zh-Hant")[:2] == ("Noto Sans", "Noto Sans TC")
    assert fonts.families("zh")[:2] == ("Noto Sans", "Noto Sans SC")
    assert sorted(fonts.families("ja")) == sorted(fonts.families("en"))


def test_without_the_extra_the_other_scripts_are_set_as_before(monkeypatch):
    find = fonts.find_spec
    monkeypatch.setattr(fonts, "find_spec", lambda name: None if "cjk" in name else find(name))
    assert fonts.families("ja") == fonts.families("en")
    assert not any("cjk" in str(folder) for folder in fonts.folders())
    assert all(folder.is_dir() for folder in fonts.folders())


@pytest.mark.parametrize("body", [b"", b"no font at all", b"\0\1\0\0" + b"\0" * 20])
def test_what_is_no_font_is_told(body):
    with pytest.raises((ValueError, struct.error, KeyError)):
        fonts.characters(body)
