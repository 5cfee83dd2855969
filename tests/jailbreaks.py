"""Templates that mean harm, each with the reason for which it is refused.

`PYTHONPATH=tests .venv/bin/python -m jailbreaks` tries all of them, one after the other, and prints for each how long it
took, and at the end the most memory that any worker had.
"""

import json
import resource
import sys
import time
from typing import NamedTuple

import click

import receipt_samples
from counterfoil.documents import receipt_html, receipt_pdf
from counterfoil.documents.template import PAGE, Template, TemplateError
from counterfoil.documents.warden import Worker

# A function that never returns, in WebAssembly: (loop (br 0)).
NEVER = bytes.fromhex(
    "0061736d01000000 01050160 00017f 03020100 0503010001 070e02066d656d6f72790200016600000a0b01090003400c000b41000b"
)


class Attack(NamedTuple):
    """A template's main file, why it is refused (part of the reason), and its other files."""

    source: str
    refused: str
    files: dict[str, bytes] = {}  # noqa: RUF012  nobody writes to it
    main: str = "main.typ"


PACKAGE = "packages cannot be imported"
TOO_MUCH = "needed more than 150 MB of memory"
TOO_LONG = "took more than 1.2 s of processor time"
_LOOPS = "{% for a in receipt.lines %}"
LOOPS = _LOOPS * 16 + "x" * 100 + "{% endfor %}" * 16
SILENT = _LOOPS * 16 + "{% endfor %}" * 16
ATTACKS = {
    "read a file by its path": Attack('#read("/etc/passwd")', "file not found"),
    "escape by dots": Attack('#read("../../../../etc/passwd")', "would escape the project root"),
    "escape by a folder of its own": Attack('#read("a/../../../etc/passwd")', "would escape", {"a/b.txt": b""}),
    "include the environment": Attack('#include "/proc/self/environ"', "file not found"),
    "an image that is a file elsewhere": Attack(
        "#image(bytes(\"<svg xmlns='http://www.w3.org/2000/svg' xmlns:x='http://www.w3.org/1999/xlink' width='9' "
        "height='9'><image x:href='file:///etc/passwd' width='9' height='9'/></svg>\"), alt: \"x\")",
        "failed to load linked image",
    ),
    "an image from the network": Attack('#image("http://127.0.0.1:9/x.png", alt: "x")', "network access is not supported"),
    "import a package": Attack('Hello\n#import "@preview/tablex:0.1.0": *', PACKAGE),
    "import a package by a built name": Attack('#let name = "@pre" + "view/tablex:0.1.0"\n#import name: *', PACKAGE),
    "include a package by a built name": Attack('#include "@loc" + "al/x:0.1.0"', PACKAGE),
    "import a package within eval": Attack('#eval("import \\"@" + "preview/tablex:0.1.0\\": *")', PACKAGE),
    "a loop without end": Attack("#while true {}", "condition is always true"),
    "a loop without an end that shows": Attack("#let n = 0\n#while n >= 0 { n += 1 }", "loop seems to be infinite"),
    "a foreign function without end": Attack('#str(plugin("x.wasm").f())', TOO_LONG, {"x.wasm": NEVER}),
    "a font that is none": Attack('#set text(font: "Mine")\n#read("a.ttf")', "not valid UTF-8", {"a.ttf": b"\0\1\0\0" + b"\xff" * 100_000}),
    "deep recursion": Attack("#let f(x) = f(x + 1)\n#f(0)", "maximum function call depth exceeded"),
    "deep brackets": Attack("[" * 100_000, TOO_LONG),
    "content within content": Attack(
        "#{ let c = [x]; for i in range(100000) { c = box(c) }; c }", "what is nested too deeply"
    ),
    "a gigabyte of text at once": Attack('#("x" * 1000000000).len()', TOO_MUCH),
    "text that doubles": Attack('#{ let s = "x"; for i in range(40) { s = s + s }; s.len() }', TOO_MUCH),
    "a hundred million letters": Attack("#for i in range(100000000) [a]", TOO_MUCH),
    "a page that loops within loops": Attack(LOOPS, "the page has more than 4 MB of text", main="main.html"),
    "a page that loops and says nothing": Attack(SILENT, TOO_LONG, main="main.html"),
    "a page that is deep": Attack("{% if shown.number %}" * 5_000, "nested too deeply", main="main.html"),
    "a page that calls": Attack("{{ shown.__class__.__mro__[1].__subclasses__() }}", "call is not understood", main="main.html"),
    "a page that reaches behind its values": Attack("{{ shown.__class__ }}", "there is no __class__", main="main.html"),
    "a page that includes": Attack('{% include "/etc/passwd" %}', "include is not understood", main="main.html"),
    "a page that loads": Attack('<img src="http://127.0.0.1:9/x.png">', "a picture is a file of the template", main="main.html"),
    "a page whose style loads": Attack(
        '<p style="background: image-set(\'http://127.0.0.1:9/x.png\' 1x)">', "a style may not say image-set(", main="main.html"
    ),
    "a page that reaches without end": Attack("{{ shown" + ".a" * 3_000 + " }}", "nested too deeply", main="main.html"),
    "a page that runs": Attack("<script>x</script>", "<script> has no place", main="main.html"),
    "two million pages": Attack("#for i in range(2000000) { pagebreak() }", TOO_MUCH),
}  # fmt: skip


def tried(attack: Attack) -> tuple[str, float]:
    """What came of it, "rendered" if it was not refused, and the seconds from a worker's start to its end."""
    started = time.monotonic()
    try:
        template = Template({attack.main: attack.source.encode(), **attack.files}, attack.main)
        receipt = receipt_samples.receipt()
        with Worker(template) as worker:
            if attack.main == PAGE:
                worker.page(PAGE, receipt_html.given(receipt))
            else:
                worker.pdf(receipt_pdf.job(receipt, template=template))
    except TemplateError as error:
        return error.reason, time.monotonic() - started
    return "rendered", time.monotonic() - started


def main() -> None:
    results = {name: tried(attack) for name, attack in ATTACKS.items()}
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    if "--json" in sys.argv:
        click.echo(json.dumps({"results": results, "memory_mb": most}))
        return
    for name, (reason, seconds) in results.items():
        click.echo(f"{seconds:5.2f} s  {name}: {reason}")
    click.echo(f"at most {most} MB")


if __name__ == "__main__":
    main()
