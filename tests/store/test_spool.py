"""What an import keeps on this machine's disk until it is written."""

import tracemalloc
from dataclasses import replace

import pytest

from counterfoil.store.spool import Line, Spool, spool


def line(number: int, fate: str = "ready", **more: object) -> Line:
    return replace(Line(line=number, ref=f"ch_{number}", fate=fate), **more)  # type: ignore[arg-type]  of one line


def numbers(kept: Spool) -> list[tuple[int, str]]:
    return [(one.line, one.fate) for one in kept.lines()]


def test_rows_come_back_as_they_went_in_in_the_order_of_the_file():
    whole = line(7, payment="pmt_1", reason="so", record=b"\x00\xff")
    with spool() as kept:
        kept.add([line(2), whole])
        kept.add([line(3)])
        assert list(kept.lines(size=2)) == [line(2), line(3), whole]


def test_the_first_line_that_names_an_id_has_it():
    with spool() as kept:
        assert [kept.first_of("ch_1", 2), kept.first_of("ch_2", 3), kept.first_of("ch_1", 4)] == [2, 3, 2]


def test_batches_are_of_one_fate_and_may_change_it_meanwhile():
    with spool() as kept:
        kept.add([line(n, "ready" if n % 3 else "refused") for n in range(1, 10)])
        seen = []
        for batch in kept.batches("ready", 2):
            seen.append([one.line for one in batch])
            kept.put([replace(one, fate="imported") for one in batch])
        assert seen == [[1, 2], [4, 5], [7, 8]]
        assert kept.tally() == {"imported": 6, "refused": 3}


def test_what_held_one_back_holds_all_of_its_fate_back():
    with spool() as kept:
        kept.add([line(1), line(2, "refused"), line(3)])
        kept.rename("ready", "held", "since one is refused")
        assert numbers(kept) == [(1, "held"), (2, "refused"), (3, "held")]
        assert next(kept.lines()).reason == "since one is refused"


def test_many_rows_take_no_memory_of_ours():
    with spool() as kept:
        tracemalloc.start()
        for start in range(0, 50_000, 500):
            kept.add(line(n, record=b"x" * 300) for n in range(start + 1, start + 501))
        assert sum(1 for _ in kept.lines()) == 50_000
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert highest < 4_000_000


def test_two_spools_know_nothing_of_one_another():
    with spool() as one, spool() as other:
        one.add([line(1)])
        assert list(other.lines()) == []
        assert other.first_of("ch_1", 9) == 9


@pytest.mark.parametrize("fate", ["ready", "refused"])
def test_an_empty_spool_has_nothing(fate: str):
    with spool() as kept:
        assert (list(kept.batches(fate, 10)), kept.tally()) == ([], {})
