import pytest

from counterfoil.domain.operator import Role, may

# A row is who has the role, a column what is needed.
TABLE = """
             admin  approver  support  viewer  auditor
    admin    yes    yes       yes      yes     no
    approver no     yes       yes      yes     no
    support  no     no        yes      yes     no
    viewer   no     no        no       yes     no
    auditor  no     no        no       yes     yes
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]


@pytest.mark.parametrize(
    ("has", "needs", "answer"),
    [(row[0], needs, answer) for row in ROWS[1:] for needs, answer in zip(ROWS[0], row[1:], strict=True)],
)
def test_who_may_do_what(has: str, needs: str, answer: str):
    assert may(Role(has), Role(needs)) is (answer == "yes")


def test_the_table_speaks_of_every_role():
    assert set(ROWS[0]) == {row[0] for row in ROWS[1:]} == {role.value for role in Role}
