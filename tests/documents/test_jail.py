import asyncio
from dataclasses import replace

import pytest

import receipt_samples
from counterfoil.documents import jail, receipt_pdf
from counterfoil.documents.jail import Renderer
from counterfoil.documents.template import Template, TemplateError


@pytest.fixture
def renderer():
    made = Renderer(workers=2)
    yield made
    made.close()


def page(text):
    return Template({"main.typ": text.encode()})


async def test_many_receipts_are_rendered_at_once_and_each_is_its_own(renderer):
    receipts = [receipt_samples.receipt(number=f"R-2026-{number:06}") for number in range(8)]
    made = await asyncio.gather(*(renderer.pdf(receipt) for receipt in receipts))
    assert made == [receipt_pdf.render(receipt) for receipt in receipts]
    assert 1 <= len(renderer._ours) <= 2


async def test_the_plain_look_is_rendered_too(renderer):
    receipt = receipt_samples.receipt()
    plain = replace(receipt, advanced=False)
    assert await renderer.pdf(plain) == receipt_pdf.render(plain) != receipt_pdf.render(receipt)


async def test_a_template_has_a_worker_of_its_own_that_stays_for_it_alone(renderer):
    receipt = receipt_samples.receipt()
    first, second = page("= One"), page("= Two")
    await renderer.pdf(receipt, template=first)
    await renderer.pdf(receipt, template=second)
    pids = [worker.pid for worker in renderer._theirs.values()]
    made = await renderer.pdf(receipt, template=first)
    assert made == receipt_pdf.render(receipt, template=first)
    assert [worker.pid for worker in renderer._theirs.values()] == pids[::-1]
    assert renderer._ours == []


async def test_only_so_many_workers_wait_for_templates(renderer, monkeypatch):
    monkeypatch.setattr(jail, "OWN_TEMPLATES", 1)
    await renderer.pdf(receipt_samples.receipt(), template=page("= One"))
    (first,) = renderer._theirs.values()
    await renderer.pdf(receipt_samples.receipt(), template=page("= Two"))
    (second,) = renderer._theirs.values()
    assert (first.usable, second.usable) == (False, True)


async def test_the_same_template_at_once_leaves_one_worker(renderer):
    same = page("= One")
    await asyncio.gather(*(renderer.pdf(receipt_samples.receipt(), template=same) for _ in range(4)))
    assert len(renderer._theirs) == 1


async def test_a_hostile_template_harms_no_other(renderer):
    receipt = receipt_samples.receipt()
    hostile = renderer.pdf(receipt, template=page("#for i in range(100000000) [a]"))
    made, refused = await asyncio.gather(renderer.pdf(receipt), hostile, return_exceptions=True)
    assert made == receipt_pdf.render(receipt)
    assert isinstance(refused, TemplateError)
    assert len(renderer._theirs) == 0


async def test_a_warm_worker_that_died_is_replaced(renderer):
    receipt = receipt_samples.receipt()
    made = await renderer.pdf(receipt)
    (dead,) = renderer._ours
    dead.close()
    assert await renderer.pdf(receipt) == made
    assert [worker.pid for worker in renderer._ours] != [dead.pid]


async def test_closing_ends_every_worker():
    renderer = Renderer(workers=1)
    await renderer.pdf(receipt_samples.receipt())
    await renderer.pdf(receipt_samples.receipt(), template=page("= One"))
    workers = [*renderer._ours, *renderer._theirs.values()]
    assert [worker.usable for worker in workers] == [True, True]
    renderer.close()
    assert [worker.usable for worker in workers] == [False, False]
