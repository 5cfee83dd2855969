import pytest

from counterfoil.documents import receipt_india


@pytest.mark.parametrize(
    ("paise", "words"),
    [
        (0, "Rupees zero only"),
        (1, "Rupees zero and one paise only"),
        (1900, "Rupees nineteen only"),
        (10000, "Rupees one hundred only"),
        (21005678, "Rupees two lakh ten thousand fifty-six and seventy-eight paise only"),
        (100000_00, "Rupees one lakh only"),
        (99999_99, "Rupees ninety-nine thousand nine hundred ninety-nine and ninety-nine paise only"),
        (123_45_67_890_00, "Rupees one hundred twenty-three crore forty-five lakh sixty-seven thousand eight hundred ninety only"),
    ],
)  # fmt: skip
def test_rupees_are_said_in_lakh_and_crore(paise, words):
    assert receipt_india.rupees(paise) == words


def test_a_state_is_named_by_its_code_and_what_is_none_is_left_as_it_is():
    assert receipt_india.state("29") == "Karnataka (29)"
    assert receipt_india.state("Elsewhere") == "Elsewhere"
