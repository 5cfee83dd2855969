import re

from counterfoil.domain.call import Repeat, Settled, Verb
from counterfoil.store.migrations import VERSIONS


def _taken_by_the_database(column: str) -> set[str]:
    """The values that a column of the calls may have, by the last migration that says so."""
    model = "".join(file.read_text() for file in sorted(VERSIONS.glob("*.sql")))
    calls = model.partition("CREATE TABLE calls (")[2].partition(");")[0]
    later = re.findall(
        rf"ALTER TABLE calls ADD CONSTRAINT calls_{column}_check (CHECK .*?);", model, re.DOTALL
    )
    listed = re.findall(rf"CHECK \({column} IN \(([^)]*)\)\)", "\n".join([calls, *later]))[-1]
    return {value.strip(" '\n") for value in listed.split(",")}


def test_verbs_and_outcomes_are_those_that_the_database_takes():
    assert {verb.value for verb in Verb} == _taken_by_the_database("verb")
    assert {outcome.value for outcome in Settled} == _taken_by_the_database("settled")


def test_the_repeat_classes_are_four():
    assert [repeat.value for repeat in Repeat] == ["keyed", "single_shot", "lookup", "harmless"]
