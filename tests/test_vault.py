"""The vault: what is sealed opens only where it was sealed, and links end and do not transfer."""

import base64
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil import vault
from counterfoil.domain.errors import ConfigurationError
from counterfoil.vault import Vault

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEY = bytes(range(32))
PLACE = "gwa_1/secret_key"


# Sealing


@given(st.text(max_size=300), st.text(min_size=1, max_size=40))
def test_what_is_sealed_opens_in_its_place(secret, place):
    assert Vault(KEY).open(Vault(KEY).seal(secret, place), place) == secret


def test_a_secret_moved_to_another_row_or_column_does_not_open():
    sealed = Vault(KEY).seal("sk_test_counterfoil", PLACE)
    for elsewhere in ("gwa_2/secret_key", "gwa_1/webhook_secret", ""):
        with pytest.raises(ConfigurationError, match="cannot be opened"):
            Vault(KEY).open(sealed, elsewhere)


def test_another_key_does_not_open_it_and_the_sentence_says_so():
    sealed = Vault(KEY).seal("sk_test_counterfoil", PLACE)
    with pytest.raises(ConfigurationError, match="COUNTERFOIL_KEY_FILE is not the key it was sealed with"):
        Vault(bytes(32)).open(sealed, PLACE)


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_sealed_secret_with_any_byte_changed_does_not_open(where, by):
    sealed = bytearray(Vault(KEY).seal("sk_test_counterfoil", PLACE))
    sealed[where % len(sealed)] ^= by
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        Vault(KEY).open(bytes(sealed), PLACE)


@given(st.integers(min_value=0))
def test_a_sealed_secret_that_is_cut_off_does_not_open(at):
    sealed = Vault(KEY).seal("sk_test_counterfoil", PLACE)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        Vault(KEY).open(sealed[: at % len(sealed)], PLACE)


@given(st.binary(max_size=200))
def test_bytes_that_were_never_sealed_do_not_open(rubbish):
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        Vault(KEY).open(rubbish, PLACE)


def test_the_same_secret_is_sealed_differently_each_time():
    sealed = {Vault(KEY).seal("sk_test_counterfoil", PLACE) for _ in range(50)}
    assert len(sealed) == 50
    assert not any(b"sk_test" in one for one in sealed)


def test_a_vault_shows_nothing_of_its_key():
    assert repr(Vault(KEY)) == "Vault()"


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_size_is_no_key(size):
    with pytest.raises(ConfigurationError, match="must be 32 bytes"):
        Vault(bytes(size))


def test_a_digest_is_the_same_for_the_same_key_and_useless_without_the_vault():
    assert Vault(KEY).digest("cf_sandbox_a") == Vault(KEY).digest("cf_sandbox_a")
    assert Vault(KEY).digest("cf_sandbox_a") != Vault(KEY).digest("cf_sandbox_b")
    assert Vault(KEY).digest("cf_sandbox_a") != Vault(bytes(32)).digest("cf_sandbox_a")


# Links


def test_a_link_holds_for_its_subject_until_it_ends():
    token = Vault(KEY).sign_link("pmt_1", NOW + timedelta(hours=1))
    assert Vault(KEY).link_holds(token, "pmt_1", NOW)
    assert Vault(KEY).link_holds(token, "pmt_1", NOW + timedelta(minutes=59, seconds=59))
    assert not Vault(KEY).link_holds(token, "pmt_1", NOW + timedelta(hours=1))
    assert not Vault(KEY).link_holds(token, "pmt_2", NOW)
    assert not Vault(bytes(32)).link_holds(token, "pmt_1", NOW)


def test_the_end_of_a_link_cannot_be_moved():
    vault = Vault(KEY)
    until, _, mark = vault.sign_link("pmt_1", NOW).partition(".")
    later = f"{int(until, 16) + 3600:x}"
    assert not vault.link_holds(f"{later}.{mark}", "pmt_1", NOW)
    _, _, other = vault.sign_link("pmt_2", NOW + timedelta(hours=1)).partition(".")
    assert not vault.link_holds(f"{later}.{other}", "pmt_1", NOW)


@given(st.text(max_size=60))
def test_no_text_that_was_not_signed_holds(token):
    assert not Vault(KEY).link_holds(token, "pmt_1", NOW)


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token.upper(),
        lambda token: f"0{token}",
        lambda token: f" {token}",
        lambda token: f"+{token}",
        lambda token: f"0x{token}",
        lambda token: token + "=",
        lambda token: token + "\n",
        lambda token: token[:-1],
        lambda token: token.replace(".", ".."),
        lambda token: "f" * 12 + "." + token.partition(".")[2],
        lambda token: token.partition(".")[0] + ".",
        lambda token: token.partition(".")[2],
    ],
)
def test_a_link_written_in_any_other_way_does_not_hold(change):
    token = Vault(KEY).sign_link("pmt_1", NOW + timedelta(hours=1))
    assert not Vault(KEY).link_holds(change(token), "pmt_1", NOW)


# The key file


def test_a_key_is_made_where_there_is_none_for_its_owner_alone(tmp_path):
    path = tmp_path / "folder" / "key"
    made = vault.load(path, make=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(base64.b64decode(path.read_text())) == 32
    assert list(path.parent.iterdir()) == [path]
    assert vault.load(path, make=False).digest("a") == made.digest("a")
    assert vault.load(path, make=True).digest("a") == made.digest("a")


def test_no_two_made_keys_are_alike(tmp_path):
    assert vault.load(tmp_path / "a", make=True).digest("x") != vault.load(tmp_path / "b", make=True).digest(
        "x"
    )


def test_where_none_may_be_made_the_sentence_says_how(tmp_path):
    with pytest.raises(ConfigurationError, match="openssl rand -base64 32") as refused:
        vault.load(tmp_path / "key", make=False)
    assert str(tmp_path / "key") in refused.value.detail
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize("content", [b"", b"not base64!", b"\xff\xfe", base64.b64encode(bytes(31)), base64.b64encode(bytes(64))])  # fmt: skip
@pytest.mark.parametrize("make", [True, False])
def test_a_file_that_holds_no_key_is_refused_and_left_alone(tmp_path, content, make):
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="key-encryption key"):
        vault.load(path, make=make)
    assert path.read_bytes() == content


def test_a_folder_in_the_place_of_the_key_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        vault.load(tmp_path, make=False)


def test_a_draft_left_by_a_crash_is_no_hindrance(tmp_path):
    for name in (f".key.{os.getpid()}", ".key.abcdefgh"):
        (tmp_path / name).write_text("half a k")
        (tmp_path / name).chmod(0o644)
    vault.load(tmp_path / "key", make=True)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


MAKER = """
import sys, time
from pathlib import Path
from counterfoil import vault
sys.stdin.readline()
print(vault.load(Path(sys.argv[1]), make=True).digest("a").hex())
"""


def test_processes_that_start_at_once_agree_on_one_key(tmp_path):
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, tmp_path / "key"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for maker in makers:
        maker.stdin.write("go\n")
        maker.stdin.flush()
    assert len({maker.communicate(timeout=30)[0] for maker in makers}) == 1
