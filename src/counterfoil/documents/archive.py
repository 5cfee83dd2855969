"""A zip that is written file by file; one on the disk that goes on where it was cut off; and one in pieces.

A zip's list of its files stands at its end: whoever goes on writes over it, and writes it anew when all is done. What was
killed on the way is a row of whole files, then perhaps a torn one and what is left of an older list. Each file has a head of
its own before it (APPNOTE 4.3.7), and by these those that are whole are found again.
"""

import os
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, BinaryIO, Final, NamedTuple, cast

_HEAD: Final = struct.Struct("<4s5H3L2H")
_BEGINS: Final = b"PK\x03\x04"
_TOLD_BEHIND: Final = 0x08  # checksum and sizes stand behind the file: written where nobody can go back
_BEHIND: Final = struct.Struct("<4x3L")
_CHUNK: Final = 65_536
_END: Final = struct.Struct("<4s4H2LH")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_WHERE_64: Final = struct.Struct("<4sLQL")
_MOST_16: Final = 0xFFFF
_MOST_32: Final = 0xFFFF_FFFF
_MINE_ALONE: Final = 0o600 << 16  # rights, as zipfile gives them


class NotOursError(Exception):
    """What stands there is neither a zip nor one of ours that was cut off: it is left as it is."""


class File(NamedTuple):
    """One file of an archive, and the moment it is dated."""

    name: str
    at: datetime
    content: bytes


class Archive:
    """A zip that is written into what can be written to. Its methods may be called in any thread, one after the other."""

    def __init__(self, out: IO[bytes], there: Sequence[zipfile.ZipInfo] = ()) -> None:
        # Not "a": that looks for a list of files by itself, and may find that of an Excel book in the last file.
        self._zip = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, allowZip64=True)
        self._zip.filelist.extend(there)
        self._zip.NameToInfo.update({one.filename: one for one in there})
        self.names: Final = frozenset(one.filename for one in there)  # what was there before
        self._busy = (
            threading.Lock()
        )  # whoever is cancelled closes it while the last files are still being written

    def add(self, files: Iterable[File]) -> None:
        with self._busy:
            for file in files:
                entry = zipfile.ZipInfo(file.name, file.at.timetuple()[:6])
                entry.compress_type = zipfile.ZIP_DEFLATED
                self._zip.writestr(entry, file.content)

    def close(self) -> None:
        """Write the list of files."""
        with self._busy:
            self._zip.close()


class Pipe:
    """What a zip is written into where nobody can go back in it: taken out piece by piece. It begins at a byte of the whole."""

    def __init__(self, at: int = 0) -> None:
        self._held, self._at = bytearray(), at

    def write(self, part: bytes) -> int:
        self._held += part
        self._at += len(part)
        return len(part)

    def tell(self) -> int:
        """How much was ever written."""
        return self._at

    def flush(self) -> None:
        """Nothing is kept back."""

    def taken(self) -> bytes:
        held, self._held = bytes(self._held), bytearray()
        return held


class Piece(NamedTuple):
    """Some files of a zip, and their lines of the list at its end."""

    files: bytes
    listed: bytes


def piece(files: Iterable[File], at: int) -> Piece:
    """Some files of a zip that is put together from pieces, to stand at this byte of it.

    All files, one piece after the other, then all lines in the same order, then `end`: so nothing of what was written
    before need be known to go on.
    """
    pipe = Pipe(at)
    archive = Archive(cast("IO[bytes]", pipe))
    archive.add(files)
    written = pipe.taken()
    archive.close()  # it writes the lines, and an end that is of this piece alone
    rest = pipe.taken()
    lines = _END.unpack(rest[-_END.size :])[5]
    return Piece(written, rest[:lines])


def end(count: int, *, files: int, listed: int) -> bytes:
    """The end of a zip of so many files, which take so many bytes, and whose list takes so many (APPNOTE 4.3.14 to 16)."""
    small = min(count, _MOST_16), min(count, _MOST_16), min(listed, _MOST_32), min(files, _MOST_32)
    last = _END.pack(b"PK\x05\x06", 0, 0, *small, 0)
    if small[1:] == (count, listed, files):
        return last
    large = _END_64.pack(b"PK\x06\x06", _END_64.size - 12, 45, 45, 0, 0, count, count, listed, files)
    return large + _WHERE_64.pack(b"PK\x06\x07", 0, files + listed, 1) + last


class Resumed(Archive):
    """A zip on the disk: one that is there is gone on with, whole or cut off; without one it begins.

    Files count as cut off from ours where their names end like `endings`. Raises NotOursError, and OSError.
    """

    def __init__(self, path: Path, endings: tuple[str, ...]) -> None:
        path.touch()
        self._file = path.open("r+b")
        try:
            there, end = _listed(self._file) or _whole(self._file, endings)
        except BaseException:
            self._file.close()
            raise
        self._file.seek(end)
        super().__init__(self._file, there)

    def close(self) -> None:
        """Have the files on the disk before the list that names them."""
        try:
            self._sync()
            super().close()
            self._file.truncate()
            self._sync()
        finally:
            self._file.close()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


Contents = tuple[list[zipfile.ZipInfo], int]


def _listed(file: BinaryIO) -> Contents | None:
    """The files by the list at the end, and where it begins; None where there is no list, or one of something else.

    A book in a zip that was cut off has a list too. Its files do not begin where the zip does.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            there, end = archive.infolist(), archive.start_dir
    except zipfile.BadZipFile:
        return None
    return (there, end) if min((one.header_offset for one in there), default=end) == 0 else None


def _whole(file: BinaryIO, endings: tuple[str, ...]) -> Contents:
    """The files by their own heads, as far as they are whole, and where the last of them ends."""
    there, end = list[zipfile.ZipInfo](), 0
    while found := _entry(file, end, endings):
        there.append(found)
        end = file.tell()
    return there, end


def _entry(file: BinaryIO, at: int, endings: tuple[str, ...]) -> zipfile.ZipInfo | None:
    """The file that begins there, where it is whole. Reads up to its end."""
    file.seek(at)
    head = file.read(_HEAD.size)
    if at == 0 and not head.startswith(_BEGINS[: len(head)]):
        raise NotOursError
    if len(head) < _HEAD.size or not head.startswith(_BEGINS):
        return None
    _, _, flags, method, time, date, crc, packed, size, chars, more = _HEAD.unpack(head)
    name = file.read(chars).decode("ascii", "replace")
    if len(name) < chars:
        return None
    if (method, flags & ~_TOLD_BEHIND) != (zipfile.ZIP_DEFLATED, 0) or not name.endswith(endings):
        raise NotOursError
    file.seek(more, os.SEEK_CUR)
    measured = _measured(file)
    told = _behind(file) if flags & _TOLD_BEHIND else (crc, packed, size)
    if measured is None or measured != told:
        return None
    found = zipfile.ZipInfo(name, _moment(date, time))
    found.CRC, found.compress_size, found.file_size = measured
    found.compress_type, found.flag_bits, found.header_offset = method, flags, at
    found.external_attr = _MINE_ALONE
    return found


def _measured(file: BinaryIO) -> tuple[int, ...] | None:
    """Checksum, packed size and size of the packed file that is read next; None where it breaks off or is none."""
    unpacking, begins, crc, size = zlib.decompressobj(-zlib.MAX_WBITS), file.tell(), 0, 0
    while not unpacking.eof:
        chunk = file.read(_CHUNK)
        try:
            part = unpacking.decompress(chunk)
        except zlib.error:
            return None
        if not chunk:
            return None
        crc, size = zlib.crc32(part, crc), size + len(part)
    end = file.tell() - len(unpacking.unused_data)
    file.seek(end)
    return crc, end - begins, size


def _behind(file: BinaryIO) -> tuple[int, ...] | None:
    """The same three, as they stand behind a file."""
    told = file.read(_BEHIND.size)
    return _BEHIND.unpack(told) if len(told) == _BEHIND.size else None


def _moment(date: int, time: int) -> tuple[int, int, int, int, int, int]:
    """A moment as MS-DOS packs it: 7 bits of years since 1980, 4 of months, and so on to 5 of every other second."""
    return (
        (date >> 9) + 1980,
        date >> 5 & 15,
        date & 31,
        time >> 11,
        time >> 5 & 63,
        (time & 31) * 2,
    )
