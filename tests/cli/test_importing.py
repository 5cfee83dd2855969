"""counterfoil payments import: charges that were made at the gateways without this service, brought along."""

import csv
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox_razorpay import PatientSession, Shop
from sandbox_server import eventually
from sandbox_stripe import Merchant
from service import Service

AT = "2026-01-31T12:00:00Z"
Import = Callable[..., tuple[int, dict[str, Any], list[dict[str, str]]]]


@pytest.fixture
def bring(run: Any, tmp_path: Path) -> Import:
    """Import rows as JSON lines; exit status, what was said, and the result file."""

    def bringing(*rows: dict[str, Any], options: tuple[str, ...] = ()) -> Any:
        file = tmp_path / "past.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        ran = run("payments", "import", str(file), "--json", *options)
        assert ran.out, ran.err
        with (tmp_path / "past.jsonl.result.csv").open(newline="") as result:
            return ran.status, json.loads(ran.out), list(csv.DictReader(result))

    return bringing


@pytest.fixture
def merchant(service: Service) -> Merchant:
    return Merchant(service.sandbox)


@pytest.fixture
def held(service: Service) -> Any:
    """Webhooks wait until the test lets them go."""
    service.sandbox.webhooks(hold=True)
    yield
    service.sandbox.webhooks(hold=False)


def of_stripe(merchant: Merchant, amount: int = 10_000, **more: Any) -> dict[str, Any]:
    """A charge that another program made, as it stands in its books."""
    intent = merchant.paid(amount)
    charge = merchant.charge(intent)
    return {
        "gateway": "stripe",
        "payment_intent": intent.id,
        "charge": charge.id,
        "amount": amount,
        "currency": "usd",
        "captured": amount,
        "captured_at": charge.created,
        **more,
    }


def opening(service: Service, payment_id: str) -> dict[str, int]:
    """The books of a payment: each account's sum."""
    rows = service.rows(
        "SELECT a.name, sum(e.amount)::bigint AS sum FROM journals j JOIN entries e ON e.journal_id = j.id"
        " JOIN ledger_accounts a ON a.id = e.ledger_account_id WHERE j.payment_id = $1 GROUP BY a.name",
        payment_id,
    )
    return {row["name"]: row["sum"] for row in rows}


def test_a_past_payment_is_imported_once_and_learns_from_its_own_webhooks(
    service: Service, merchant: Merchant, bring: Import, held: Any
):
    row = of_stripe(merchant, reference="from before", customer={"email": "a@example.org"}, method={"brand": "visa", "last4": "4242"})  # fmt: skip
    status, said, (fate,) = bring(row)
    assert (status, said["imported"], said["rows"]) == (0, 1, 1)
    assert (fate["fate"], fate["charge"], fate["line"]) == ("imported", row["charge"], "1")
    imported = service.payment(fate["payment"])
    assert (imported["status"], imported["amount_captured"], imported["reference"]) == ("captured", 10_000, "from before")  # fmt: skip
    assert imported["attempts"][0]["charges"][0]["method"] == {"brand": "visa", "last4": "4242"}
    assert opening(service, imported["id"]) == {"gateway_balance": 10_000, "opening_balance": -10_000}

    status, said, (again,) = bring(row)
    assert (status, said.get("imported"), again["fate"], again["reason"]) == (
        0,
        None,
        "skipped",
        "already here",
    )
    assert again["payment"] == imported["id"]
    assert service.payment(imported["id"]) == imported

    service.sandbox.webhooks(hold=False)
    letters = "SELECT status FROM inbox WHERE payment_id = $1 AND type = 'charge.succeeded'"
    eventually(lambda: service.rows(letters, imported["id"]) == [{"status": "processed"}], seconds=20)
    assert service.payment(imported["id"])["amount_captured"] == 10_000
    assert opening(service, imported["id"]) == {"gateway_balance": 10_000, "opening_balance": -10_000}
    assert len(service.payment(imported["id"])["attempts"][0]["charges"]) == 1


def test_an_order_of_another_program_is_imported_and_its_own_receipt_contradicts_nothing(
    service: Service, bring: Import, held: Any, run: Any
):
    with PatientSession() as session:
        shop = Shop.__new__(Shop)
        shop.sandbox, shop.session = service.sandbox, session
        import razorpay

        config = service.sandbox.config
        shop.auth = (config.razorpay_key_id, config.razorpay_key_secret)
        shop.client = razorpay.Client(session=session, auth=shop.auth, base_url=service.sandbox.razorpay)
        order = shop.order(50_000, capture="automatic", receipt="their-order-7")
        _, paid = shop.pay(order)
        payment = shop.client.payment.fetch(paid["razorpay_payment_id"])
    row = {
        "gateway": "razorpay", "order": order["id"], "charge": payment["id"], "amount": 50_000, "currency": "INR",
        "captured": 50_000, "captured_at": payment["created_at"],
    }  # fmt: skip
    status, _, (fate,) = bring(row, options=("--verify",))
    assert (status, fate["fate"], fate["reason"]) == (0, "imported", "")
    service.sandbox.webhooks(hold=False)
    letters = "SELECT status, reason FROM inbox WHERE payment_id = $1"
    eventually(
        lambda: {"status": "processed", "reason": None} in service.rows(letters, fate["payment"]), seconds=20
    )
    synced = run("payments", "sync", fate["payment"], "--json")
    assert json.loads(synced.out)["amount_captured"] == 50_000
    assert service.rows("SELECT kind FROM exceptions WHERE payment_id = $1", fate["payment"]) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"captured": 9_000}, "stripe says 10000 captured, the row 9000"),
        ({"amount": 20_000}, "stripe says 100.00 USD, the row 200.00 USD"),
        ({"currency": "eur"}, "stripe says 100.00 USD, the row 100.00 EUR"),
        ({"charge": "ch_none"}, "stripe does not name ch_none on {payment_intent}"),
        ({"payment_intent": None}, "stripe is asked by payment_intent, which is missing"),
        ({"payment_intent": "pi_none"}, "stripe could not be asked: "),
    ],
)
def test_what_the_gateway_says_otherwise_is_refused_when_it_is_asked(
    merchant: Merchant, bring: Import, held: Any, changes: dict[str, Any], reason: str
):
    row = of_stripe(merchant)
    status, said, (fate,) = bring({**row, **changes}, options=("--verify",))
    assert (status, said["refused"], fate["fate"]) == (1, 1, "refused")
    assert fate["reason"].startswith(reason.format(**row))


def test_refunds_that_are_named_are_asked_about_too(merchant: Merchant, bring: Import, held: Any):
    row = of_stripe(merchant)
    made = merchant.v1.refunds.create({"charge": row["charge"], "amount": 700})
    named = {"refund": made.id, "amount": 700, "refunded_at": made.created}
    status, _, (fate,) = bring({**row, "refunds": [named | {"amount": 600}]}, options=("--verify",))
    assert status == 1
    assert fate["reason"] == f"stripe does not say that {made.id} gave 600 of {row['charge']} back"
    status, _, (fate,) = bring({**row, "refunds": [named | {"refund": "re_none"}]}, options=("--verify",))
    assert status == 1
    assert fate["reason"].startswith("stripe could not be asked about re_none: ")
    status, _, (fate,) = bring({**row, "refunds": [named]}, options=("--verify",))
    assert (status, fate["fate"]) == (0, "imported")


def test_a_payment_that_this_service_makes_is_left_to_its_own_webhooks(
    service: Service, merchant: Merchant, bring: Import, held: Any
):
    """It is being made right now: the gateway knows its charge, and this service does not yet."""
    made = service.create(payment_method="pm_card_visa", confirm=True)
    attempt = made["attempts"][0]
    intent = merchant.v1.payment_intents.create(
        {
            "amount": 10_000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
            "return_url": "https://shop.example/", "metadata": {"counterfoil_attempt": attempt["id"]},
        }
    )  # fmt: skip
    row = of_stripe(merchant) | {"payment_intent": intent.id, "charge": str(intent.latest_charge)}
    _, _, (fate,) = bring(row, options=("--verify",))
    assert fate["reason"] == "it was made by this service, and is learned from its own webhooks"


def test_what_was_imported_stands_up_to_the_check(merchant: Merchant, bring: Import, held: Any, run: Any):
    whole, named, summed = (of_stripe(merchant) for _ in range(3))
    made = merchant.v1.refunds.create({"charge": named["charge"], "amount": 700})
    named["refunds"] = [{"refund": made.id, "amount": 700, "refunded_at": made.created}]
    merchant.v1.refunds.create({"charge": summed["charge"], "amount": 500})
    assert bring(whole, named, summed | {"refunded": 500})[0] == 0
    found = json.loads(run("check", "--gateways", "--json").out)
    refs = [row["charge"] for row in (whole, named, summed)]
    assert [one for one in found if any(ref in one["sentence"] for ref in refs)] == []


# The file


def test_csv_is_told_by_its_name_or_in_words(run: Any, tmp_path: Path):
    text = f"gateway,charge,amount,currency,captured,captured_at\nstripe,ch_csv,100,USD,0,{AT}\n"
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "b").write_text(text)
    ran = run("payments", "import", str(tmp_path / "a.csv"))
    assert ran.status == 1
    assert ["refused", "1"] in [line.split() for line in ran.out.splitlines()]
    assert (tmp_path / "a.csv.result.csv").read_text().splitlines() == [
        "line,charge,fate,payment,reason",
        '2,ch_csv,refused,,"captured must be between 1 and the amount, 100; it is 0"',
    ]
    ran = run("payments", "import", str(tmp_path / "b"))
    assert (ran.status, ran.out) == (1, "")
    assert (
        ran.err
        == "counterfoil: Whether FILE is CSV or JSON lines is not plain from its name: say --format.\n"
    )
    result = tmp_path / "told"
    assert (
        run("payments", "import", str(tmp_path / "b"), "--format", "csv", "--result", str(result)).status == 1
    )
    assert result.exists()


def test_the_standard_input_needs_a_name_for_its_result(spawn: Any):
    ran = spawn("payments", "import", "-", "--format", "csv")
    assert (ran.status, ran.out) == (1, "")
    assert "Name the file for the result by --result" in ran.err


@pytest.mark.parametrize(
    ("result", "because"),
    [("a.csv", "would be written over FILE"), ("no/such/folder", "cannot be written to")],
)
def test_a_result_that_could_not_be_written_stops_everything(
    run: Any, tmp_path: Path, result: str, because: str
):
    text = f"gateway,charge,amount,currency,captured,captured_at\nstripe,ch_stopped,100,USD,100,{AT}\n"
    (tmp_path / "a.csv").write_text(text)
    ran = run("payments", "import", str(tmp_path / "a.csv"), "--result", str(tmp_path / result))
    assert (ran.status, ran.out) == (1, "")
    assert because in ran.err
    assert (tmp_path / "a.csv").read_text() == text
    assert run("payments", "import", str(tmp_path / "a.csv"), "--dry-run").out.count("ready") == 1


def test_a_file_whose_columns_are_missing_is_refused_in_one_sentence(run: Any, tmp_path: Path):
    (tmp_path / "a.csv").write_text("gateway,charge\n")
    ran = run("payments", "import", str(tmp_path / "a.csv"))
    assert ran.err == "counterfoil: The file has no column amount, currency, captured, captured_at.\n"
    assert not (tmp_path / "a.csv.result.csv").exists()


def test_what_was_refunded_before_is_as_of_when_the_file_was_made(
    service: Service, merchant: Merchant, bring: Import, held: Any
):
    row = of_stripe(merchant, refunded=500)
    _, _, (fate,) = bring(row, options=("--as-of", "2026-11-01T00:00:00+01:00"))
    ((said_at,),) = [
        (fact["said_at"].isoformat(),)
        for fact in service.rows(
            "SELECT said_at FROM facts WHERE payment_id = $1 AND kind = 'opening.refunded'", fate["payment"]
        )
    ]
    assert said_at >= "2026-10-31T23:00:00"
    assert service.payment(fate["payment"])["amount_refunded"] == 500


# From then on it is a payment as any other.


def test_an_imported_payment_is_refunded_at_its_gateway(
    service: Service, merchant: Merchant, bring: Import, held: Any
):
    rules = {"refundApprovalRequired": False, "refundThreshold": {}, "automatedRefunds": True}
    service.change_settings({"refundProcessing": rules})
    row = of_stripe(merchant)
    _, _, (fate,) = bring(row)
    answer = service.post(f"/api/payments/{fate['payment']}/refund", {"amount": 4_000, "reason": "duplicate"})
    assert answer.status == 201, answer
    made = [one for one in service.sandbox.truth()["stripe"]["refunds"] if one["charge"] == row["charge"]]
    assert [one["amount"] for one in made] == [4_000]
    assert service.payment(fate["payment"])["amount_refunded"] == 4_000
    assert opening(service, fate["payment"]) == {
        "gateway_balance": 6_000,
        "opening_balance": -10_000,
        "sales": 4_000,
    }
    again = service.post(f"/api/payments/{fate['payment']}/refund", {"amount": 6_001, "reason": "duplicate"})
    assert (again.status, again.json["refundable"]) == (422, 6_000)


def test_a_refund_of_before_that_is_told_late_answers_no_request_of_now(
    service: Service, merchant: Merchant, bring: Import, held: Any
):
    service.change_settings({"refundProcessing": {"refundApprovalRequired": True}})
    row = of_stripe(merchant)
    before = merchant.v1.refunds.create({"charge": row["charge"], "amount": 500})
    now = (service.context.now() + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    _, _, (fate,) = bring({**row, "refunded": 500}, options=("--as-of", now))
    asked = service.post(
        f"/api/payments/{fate['payment']}/refund", {"amount": 500, "reason": "duplicate"}
    ).json
    service.sandbox.webhooks(hold=False)
    heard = "SELECT state FROM refunds WHERE gateway_ref = $1"
    eventually(lambda: service.rows(heard, before.id) == [{"state": "succeeded"}], seconds=20)
    assert service.get(f"/api/payments/refunds/{asked['id']}").json["status"] == "pending_approval"
    assert service.payment(fate["payment"])["amount_refunded"] == 500
