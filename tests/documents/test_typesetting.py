from dataclasses import replace

import pytest

import receipt_samples
from counterfoil.documents import receipt_pdf
from counterfoil.documents.template import TemplateError
from counterfoil.documents.typesetting import Setter, refuse_packages


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


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('#panic("my package")', "panicked with: my package"),
        ('#assert(false, message: "failed to load package")', "assertion failed: failed to load package"),
        ('#include "package.typ"', "file not found (searched at /package.typ)"),
        ('#include "@loc" + "al/x:1.0.0"', "packages cannot be imported"),
        ('#include "@" + "local"', "packages cannot be imported"),
    ],
)
def test_what_a_template_says_of_a_package_is_told_in_its_own_words(tmp_path, source, told):
    (tmp_path / "main.typ").write_text(source)
    with pytest.raises(TemplateError) as caught:
        Setter(tmp_path).pdf(replace(receipt_pdf.job(receipt_samples.receipt()), main="main.typ"))
    assert caught.value.reason == told
