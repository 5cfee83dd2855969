"""A zip that goes on where it was cut off, wherever that was."""

import io
import random
import threading
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

import pytest

from counterfoil.documents.archive import Archive, File, NotOursError, Pipe, Resumed, end, piece

AT = datetime(2026, 11, 23, 8, 30, 2, tzinfo=UTC)
ENDINGS = (".pdf", ".xlsx")


def some(count: int, size: int = 700, ending: str = ".pdf") -> list[File]:
    """Files half of which packs and half of which does not."""
    chance = random.Random(count)
    return [
        File(f"R-2026-{n:06}{ending}", AT, b"%PDF-1.7 " + b" " * size + chance.randbytes(size))
        for n in range(1, count + 1)
    ]


def book(number: int) -> File:
    """A file that is a zip itself and packs no smaller: its own list of files stands in the archive as it is."""
    content, chance = io.BytesIO(), random.Random(number)
    with zipfile.ZipFile(content, "w") as inner:
        inner.writestr("sheet.xml", chance.randbytes(9_000))
    return File(f"R-2026-{number:06}.xlsx", AT, content.getvalue())


def write(path: Path, files: list[File]) -> frozenset[str]:
    """Go on with it, adding what is not there; what was there."""
    out = Resumed(path, ENDINGS)
    out.add(file for file in files if file.name not in out.names)
    out.close()
    return out.names


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == len(set(archive.namelist()))
        return {name: archive.read(name) for name in archive.namelist()}


def of(files: list[File]) -> dict[str, bytes]:
    return {file.name: file.content for file in files}


@pytest.mark.parametrize("files", [some(5), [book(n) for n in range(1, 6)]], ids=["pdf", "xlsx"])
def test_cut_off_at_any_place_it_goes_on_and_loses_no_file_that_was_whole(tmp_path, files):
    path = tmp_path / "all.zip"
    write(path, files)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        begins = [one.header_offset for one in archive.infolist()] + [archive.start_dir]
    around = {end + by for end in begins for by in range(-60, 60, 7)}
    for cut in sorted(around | set(range(0, len(whole), len(whole) // 100))):
        path.write_bytes(whole[: max(0, cut)])
        there = write(path, files)
        assert len(there) == sum(end <= cut for end in begins[1:])
        assert contents(path) == of(files)


@pytest.mark.parametrize("files", [some(9), [book(n) for n in range(1, 10)]], ids=["pdf", "xlsx"])
def test_killed_while_it_goes_on_it_loses_nothing_of_the_first_run(tmp_path, files):
    path = tmp_path / "all.zip"
    write(path, files[:6])
    first = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        listed_at = archive.start_dir
    write(path, files)
    second = path.read_bytes()
    for written in range(listed_at + 1, len(second), max(61, len(second) // 200)):
        # What a killed run leaves: its own bytes up to there, then the rest of the older list, if that was longer.
        path.write_bytes(second[:written] + first[written:])
        assert len(write(path, files)) >= 6
        assert contents(path) == of(files)


def test_what_was_written_before_it_was_counted_is_written_again(tmp_path):
    """The head of a file gets its checksum and sizes when the file is written: a head without them is of a torn file."""
    path, files = tmp_path / "all.zip", some(3)
    write(path, files)
    torn = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        last = archive.infolist()[-1].header_offset
    torn[last + 14 : last + 22] = bytes(8)
    path.write_bytes(torn[: len(torn) - 30])
    assert write(path, files) == {file.name for file in files[:2]}
    assert contents(path) == of(files)


def test_nothing_is_left_behind_the_list(tmp_path):
    path, files = tmp_path / "all.zip", some(3, size=90_000)
    write(path, files)
    path.write_bytes(path.read_bytes()[:-500])
    write(path, files[:2])
    assert contents(path) == of(files[:2])


def test_a_byte_that_is_another_ends_what_is_kept(tmp_path):
    path, files = tmp_path / "all.zip", some(4)
    write(path, files)
    spoilt = bytearray(path.read_bytes()[:-1])
    with zipfile.ZipFile(path) as archive:
        third = archive.infolist()[2]
    spoilt[third.header_offset + 200] ^= 1
    path.write_bytes(spoilt)
    assert write(path, files) == {file.name for file in files[:2]}
    assert contents(path) == of(files)


def test_one_that_was_sent_and_broke_off_goes_on_too(tmp_path):
    path, files, sent = tmp_path / "all.zip", some(4), Sent()
    archive = Archive(sent)
    archive.add(files)
    archive.close()
    whole = sent.getvalue()
    for cut in range(0, len(whole), 97):
        path.write_bytes(whole[:cut])
        write(path, files)
        assert contents(path) == of(files)


class Sent(io.BytesIO):
    """Where nobody can go back."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError("it has been sent")


def test_dates_and_rights_are_kept(tmp_path):
    path, files = tmp_path / "all.zip", some(2)
    write(path, files)
    with zipfile.ZipFile(path) as archive:
        before = archive.infolist()[0]
    path.write_bytes(path.read_bytes()[:-1])
    write(path, files)
    with zipfile.ZipFile(path) as archive:
        after = archive.infolist()[0]
    assert after.date_time == before.date_time == AT.timetuple()[:6]
    assert after.external_attr == before.external_attr


@pytest.mark.parametrize("kind", ["text", "other names", "other packing"])
def test_what_is_not_ours_is_left_as_it_is(tmp_path, kind):
    path = tmp_path / "all.zip"
    if kind == "text":
        path.write_text("something of mine")
    else:
        name = "holidays.jpg" if kind == "other names" else "contract.pdf"
        packing = zipfile.ZIP_DEFLATED if kind == "other names" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", packing) as archive:
            archive.writestr(name, "mine" * 50)
        path.write_bytes(path.read_bytes()[:-1])
    before = path.read_bytes()
    with pytest.raises(NotOursError):
        Resumed(path, ENDINGS)
    assert path.read_bytes() == before


def test_whoever_closes_it_waits_for_what_is_being_written():
    begun, ends, sent = threading.Event(), threading.Event(), io.BytesIO()
    archive, [file] = Archive(sent), some(1)

    def slowly():
        begun.set()
        ends.wait(5)
        yield file

    writing = threading.Thread(target=archive.add, args=(slowly(),))
    writing.start()
    assert begun.wait(5)
    closing = threading.Thread(target=archive.close)
    closing.start()
    ends.set()
    writing.join(5)
    closing.join(5)
    with zipfile.ZipFile(sent) as made:
        assert made.namelist() == [file.name]


def in_pieces(files: list[File], of: int) -> bytes:
    """The zip of these files, put together from pieces of so many."""
    body, lines = b"", b""
    for first in range(0, len(files), of):
        made = piece(files[first : first + of], len(body))
        body, lines = body + made.files, lines + made.listed
    return body + lines + end(len(files), files=len(body), listed=len(lines))


@pytest.mark.parametrize("of", [1, 3, 7, 20])
def test_a_zip_put_together_from_pieces_is_the_very_one_that_is_written_at_once(of):
    files = [*some(9), book(10)]
    at_once = Pipe()
    whole = Archive(cast("IO[bytes]", at_once))
    whole.add(files)
    whole.close()
    assert in_pieces(files, of) == at_once.taken()


def test_of_no_files_it_is_an_empty_zip():
    with zipfile.ZipFile(io.BytesIO(end(0, files=0, listed=0))) as made:
        assert made.namelist() == []
    assert piece([], 5) == (b"", b"")


@pytest.mark.parametrize("before", [3 << 30, 5 << 30])
def test_files_behind_so_many_gigabytes_are_found(tmp_path, before):
    """What stands before them is a hole that takes no room."""
    path, files = tmp_path / "large.zip", some(3)
    one = piece(files[:2], before)
    two = piece(files[2:], before + len(one.files))
    body = one.files + two.files
    listed = one.listed + two.listed
    with path.open("wb") as out:
        out.seek(before)
        out.write(body + listed + end(3, files=before + len(body), listed=len(listed)))
    with zipfile.ZipFile(path) as made:
        assert made.testzip() is None
        assert {one.name: one.content for one in files} == {name: made.read(name) for name in made.namelist()}


def test_more_files_than_sixteen_bits_count_are_all_found():
    files = [File(f"R-{n}.csv", AT, b"") for n in range(66_000)]
    with zipfile.ZipFile(io.BytesIO(in_pieces(files, 5_000))) as made:
        assert len(made.namelist()) == 66_000
        assert made.read("R-65999.csv") == b""
