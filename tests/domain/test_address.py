"""Where nothing is sent: every special range, in every spelling; and what the standard library alone would let through."""

import sys
from ipaddress import ip_address, ip_network

import pytest

from counterfoil.domain import address
from counterfoil.domain.errors import InvalidRequestError

# One address of each, of the edges where there are two: by IANA's special-purpose registries.
REFUSED = {
    "0.0.0.0": "this network",
    "0.255.255.255": "this network",
    "10.0.0.1": "private",
    "10.255.255.255": "private",
    "100.64.0.1": "carrier-grade NAT",
    "100.100.100.200": "carrier-grade NAT",  # a cloud's metadata
    "100.127.255.255": "carrier-grade NAT",
    "127.0.0.1": "loopback",
    "127.255.255.255": "loopback",
    "168.63.129.16": "a cloud's own services",
    "169.254.169.254": "link-local",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.192": "reserved for protocols",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4 relays",
    "192.168.0.1": "private",
    "198.18.0.1": "benchmarking",
    "198.19.255.255": "benchmarking",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "::": "unspecified",
    "::1": "loopback",
    "::7f00:1": "IPv4-compatible",
    "::808:808": "IPv4-compatible",
    "::ffff:127.0.0.1": "IPv4-mapped",
    "::ffff:8.8.8.8": "IPv4-mapped",
    "64:ff9b::7f00:1": "NAT64",
    "64:ff9b::808:808": "NAT64",
    "64:ff9b:1::7f00:1": "NAT64",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff": "NAT64",
    "100::1": "reserved",
    "2001::1": "reserved for protocols, Teredo among them",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "reserved for protocols, Teredo among them",
    "2001:10::1": "reserved for protocols, Teredo among them",
    "2001:20::1": "reserved for protocols, Teredo among them",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:808:808::1": "6to4",
    "3fff::1": "documentation",
    "4000::1": "reserved",
    "5f00::1": "reserved",
    "fc00::1": "private",
    "fd00:ec2::254": "private",  # a cloud's metadata
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "fec0::1": "reserved",
    "ff02::1": "multicast",
}
PUBLIC = ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1", "192.0.1.1"]
PUBLIC += [
    "198.17.255.255",
    "198.20.0.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450::1",
    "2001:200::1",
]


@pytest.mark.parametrize(("one", "reason"), REFUSED.items())
def test_nothing_is_sent_to_a_special_range(one, reason):
    assert address.not_public(one) == reason


@pytest.mark.parametrize("one", PUBLIC)
def test_public_addresses_are_not_refused(one):
    assert address.not_public(one) is None


def test_no_network_that_the_registries_call_special_is_left_open():
    """The edges of every range above, and of the allocated internet."""
    for network in address._NOT_PUBLIC_4 | address._NOT_PUBLIC_6 | address._NAMES_6:
        found = ip_network(network)
        assert address.not_public(str(found[0]))
        assert address.not_public(str(found[-1]))


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="told of 3.11; later ones differ")
def test_the_standard_library_alone_would_let_these_through():
    let_through = {one for one in REFUSED if ip_address(one).is_global}
    assert let_through >= {
        "168.63.129.16",
        "192.88.99.1",
        "224.0.0.1",
        "239.255.255.255",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "::7f00:1",
        "2002:7f00:1::",
        "ff02::1",
        "4000::1",
    }


def test_loopback_is_let_through_only_where_it_is_allowed_and_only_itself():
    assert address.refused("127.0.0.1", allow_loopback=True) is None
    assert address.refused("::1", allow_loopback=True) is None
    assert address.refused("127.0.0.1", allow_loopback=False) == "loopback"
    for other in ("::ffff:127.0.0.1", "::7f00:1", "10.0.0.1", "0.0.0.0", "2002:7f00:1::"):
        assert address.refused(other, allow_loopback=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "https://shop.example/hooks?token=a%20b&x=1",
        "https://shop.example:8443/hooks",
        "https://shop.example:443/",
        "https://xn--bcher-kva.example/hook",
        "https://[2606:4700::1111]/hook",
    ],
)
def test_an_https_url_will_do_in_both_modes(url):
    address.check_url(url, mode="live")
    address.check_url(url, mode="sandbox")


@pytest.mark.parametrize(
    "url", ["http://shop.example/hook", "http://shop.example:80/", "http://127.0.0.1:9000/hook"]
)
def test_plain_http_is_for_the_sandbox(url):
    address.check_url(url, mode="sandbox")
    with pytest.raises(InvalidRequestError, match="https://"):
        address.check_url(url, mode="live")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://shop.example/", "http"),
        ("file:///etc/passwd", "http"),
        ("//shop.example/", "http"),
        ("https://", "http"),
        ("https:///hook", "http"),
        ("https://user:secret@shop.example/", "user or a password"),
        ("https://user@shop.example/", "user or a password"),
        ("https://good.example\\@evil.example/", "user or a password"),
        ("https://good.example\\.evil.example/", "ASCII"),
        ("https://shop.example/#part", "fragment"),
        ("https://shop.example/a b", "ASCII"),
        ("https://shop.example/\r\nhost: other", "ASCII"),
        ("https://bücher.example/", "ASCII"),
        ("https://shop.example:22/", "port 22"),
        ("https://shop.example:25/", "port 25"),
        ("https://shop.example:80/", "port 80"),
        ("http://shop.example:443/", "port 443"),
        ("https://shop.example:0/", "port 0"),
        ("https://shop.example:99999/", "read"),
        ("https://[::1/", "read"),
        ("https://shop.example/" + "a" * 2000, "longer"),
    ],
)
def test_what_no_url_may_be_is_told(url, says):
    with pytest.raises(InvalidRequestError, match=says):
        address.check_url(url, mode="sandbox")
