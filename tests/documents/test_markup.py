"""HTML that runs nothing and loads nothing, however it is put."""

import pytest

from counterfoil.documents import markup
from counterfoil.documents.template import TemplateError


@pytest.mark.parametrize(
    ("page", "written"),
    [
        ("<p>a &lt; b &amp; c</p>", "<p>a &lt; b &amp; c</p>"),
        ("<P CLASS=x>a</P>", '<p class="x">a</p>'),
        ("<br/><hr>", "<br><hr>"),
        ("<p/>", "<p></p>"),
        ("<!DOCTYPE html><html lang='en'></html>", '<html lang="en"></html>'),
        ("<!-- a note --><p>x</p>", "<p>x</p>"),
        ("<!--><p>x</p>-->", ""),
        ("<a href='https://x.example/?a=1&b=2'>x</a>", '<a href="https://x.example/?a=1&amp;b=2">x</a>'),
        ("<a href='mailto:a@b.example'>x</a>", '<a href="mailto:a@b.example">x</a>'),
        ("<style>p > b { color: red }</style>", "<style>p > b { color: red }</style>"),
        (
            "<style>@font-face { src: url(data:font/woff2;base64,AA) }</style>",
            "<style>@font-face { src: url(data:font/woff2;base64,AA) }</style>",
        ),
        ("<p style='color: red'>x</p>", '<p style="color: red">x</p>'),
        (
            "<style>@media print { p:not(.x) { color: rgb(0 0 0 / calc(1 - var(--y))) } } @page { @top-left { content: counter(page) } }</style>",
            "<style>@media print { p:not(.x) { color: rgb(0 0 0 / calc(1 - var(--y))) } } @page { @top-left { content: counter(page) } }</style>",
        ),
        (
            "<style>p { background: url( 'data:image/svg+xml;base64,AA==' ) } a::after { content: 'a@b.example' }</style>",
            "<style>p { background: url( 'data:image/svg+xml;base64,AA==' ) } a::after { content: 'a@b.example' }</style>",
        ),
        ("<meta charset=UTF-8><meta name=viewport content=x>", '<meta name="viewport" content="x">'),
        ("<td aria-label=x>y</td>", '<td aria-label="x">y</td>'),
        ("</script>x", "x"),
        ("a < b", "a &lt; b"),
    ],
)
def test_a_page_is_written_anew(page, written):
    assert markup.written(page, file="main.html") == markup.HEAD + written


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("<script>x</script>", "<script> has no place"),
        ("<SCRIPT SRC=//x.example>", "<script> has no place"),
        ("<script/x>", "<script> has no place"),
        ("<iframe src=x>", "<iframe> has no place"),
        ("<form action=https://x.example>", "<form> has no place"),
        ("<svg><style><img src=x onerror=x></style></svg>", "<svg> has no place"),
        ("<math><mi>", "<math> has no place"),
        ("<base href=https://x.example>", "<base> has no place"),
        ("<link rel=stylesheet href=https://x.example>", "<link> has no place"),
        ("<noscript><p></noscript>", "<noscript> has no place"),
        ("<template><p></template>", "<template> has no place"),
        ("<xmp></xmp>", "<xmp> has no place"),
        ("<meta http-equiv=refresh content='0;url=https://x.example'>", "http-equiv has no place in <meta>"),
        ("<p onclick=x>", "onclick has no place in <p>"),
        ("<p\nonmouseover\n=\nx>", "onmouseover has no place in <p>"),
        ("<img src=https://x.example/a.png>", "a picture is a file of the template"),
        ("<img src='data:text/html;base64,AA'>", "a picture is a file of the template"),
        ("<img src='data:image/png;base64,AA\" onerror=\"x'>", "a picture is a file of the template"),
        ("<img srcset=x>", "srcset has no place in <img>"),
        ("<a href=javascript:x>", "a link leads to"),
        ("<a href=' javascript:x'>", "a link leads to"),
        ("<a href='java\tscript:x'>", "a link leads to"),
        ("<a href='&#106;avascript:x'>", "a link leads to"),
        ("<a href=data:text/html,x>", "a link leads to"),
        ("<a href=https://x.example ping=https://y.example>", "ping has no place in <a>"),
        ("<style>@import 'https://x.example'</style>", "a style may not say @import"),
        ("<style>p { background: url(https://x.example) }</style>", "a style may not say url("),
        ("<style>p { background: u\\72l(https://x.example) }</style>", "a style may not say \\"),
        ("<p style='background: URL( \"//x.example\" )'>", "a style may not say URL("),
        (
            "<style>p { background: image-set('https://x.example' 1x) }</style>",
            "a style may not say image-set(",
        ),
        (
            "<style>p { background: -webkit-image-set('x' 1x) }</style>",
            "a style may not say -webkit-image-set(",
        ),
        ("<style>p { background: src('https://x.example') }</style>", "a style may not say src("),
        ("<style>p { filter: url(data:image/svg+xml;base64,AA#x) }</style>", "a style may not say url("),
        ("<style>p { background: url(data:image/png,AA) }</style>", "a style may not say url("),
        ("<style>p { background: url(data:text/html;base64,AA) }</style>", "a style may not say url("),
        (
            "<style>p { background: image(url(data:image/png;base64,AA)) }</style>",
            "a style may not say image(",
        ),
        ("<style>@layer x { } @namespace 'x';</style>", "a style may not say @layer"),
        ("<style>/* url( */</style>", "a style may not say url("),
        ("<meta name=referrer content=unsafe-url>", "a <meta> is named viewport"),
        ("<meta name=robots name=referrer content=unsafe-url>", "a <meta> is named viewport"),
        ("<meta charset=iso-2022-jp>", "the charset is utf-8"),
        ("<p charset=utf-8>", "charset has no place in <p>"),
        ('<p aria-x"y=z>', 'aria-x"y has no place in <p>'),
        ("<style></ style><script></style>", "<script> has no place"),
        ("<![CDATA[x]]>", "has no place on it"),
        ("<?php x ?>", "has no place on it"),
    ],
)
def test_a_page_that_would_run_or_load_something_is_refused(page, reason):
    with pytest.raises(TemplateError) as caught:
        markup.written(f"<p>\n{page}", file="main.html")
    assert reason in caught.value.reason
    assert (caught.value.file, caught.value.line) == ("main.html", 2)
