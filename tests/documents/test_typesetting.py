import pytest

from counterfoil.documents.template import TemplateError
from counterfoil.documents.typesetting import refuse_packages


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        (b'#import "@preview/tablex:0.1.0": *', 1, 2),
        (b'Hello\n\n  #include "@local/x:1.0.0"', 3, 4),
        (b'#{\n  import    "@preview/x:1.0.0"\n}', 2, 3),
        (b'\xff\n#import "@preview/x:1.0.0"', 2, 2),
    ],
)
def test_a_package_is_refused_where_it_is_named(source, line, column):
    with pytest.raises(TemplateError, match="packages cannot be imported") as caught:
        refuse_packages("main.typ", source)
    assert (caught.value.file, caught.value.line, caught.value.column) == ("main.typ", line, column)


@pytest.mark.parametrize(
    "source", [b'#import "parts/foot.typ": foot', b"hello@kaveri.example", b'important "@you"']
)
def test_what_imports_no_package_is_not(source):
    refuse_packages("main.typ", source)
