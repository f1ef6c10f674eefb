"""Which addresses frames may be sent to."""

import pytest

from nrray.errors import ConfigError
from nrray.models.engines.addresses import (
    AddressRefusedError,
    check_addresses,
    is_in_house,
    resolved_addresses,
    server_url,
)

IN_HOUSE = (
    *("127.0.0.1", "127.9.9.9", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.254", "192.168.1.1"),
    *("::1", "fc00::1", "fd12:3456::1", "::ffff:10.0.0.1"),
)
OUTSIDE = (
    *("8.8.8.8", "11.0.0.1", "172.15.255.255", "172.32.0.1", "192.167.1.1", "192.169.0.1", "100.64.0.1", "203.0.113.5"),
    *("198.18.0.1", "240.0.0.1", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::a00:1", "2002:a00:1::"),
)
NEVER = (
    *("169.254.169.254", "169.254.170.2", "fe80::1", "::ffff:169.254.169.254", "fd00:ec2::254", "fd20:ce::254"),
    *("0.0.0.0", "::", "224.0.0.1", "ff02::1"),
)


@pytest.mark.parametrize("address", IN_HOUSE)
def test_loopback_and_private_addresses_are_in_the_house(address):
    check_addresses((address,), host="server", allow_remote=False)
    assert is_in_house(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_all_others_are_refused_unless_frames_may_leave_the_house(address):
    with pytest.raises(AddressRefusedError, match=r"outside loopback and private .* --allow-remote"):
        check_addresses((address,), host="server", allow_remote=False)
    check_addresses((address,), host="server", allow_remote=True)
    assert not is_in_house(address)


@pytest.mark.parametrize("allow_remote", [False, True])
@pytest.mark.parametrize("address", NEVER)
def test_addresses_of_secrets_and_of_no_single_machine_are_never_spoken_to(address, allow_remote):
    with pytest.raises(AddressRefusedError, match=r"never spoken to|no single machine"):
        check_addresses((address,), host="server", allow_remote=allow_remote)


def test_a_host_with_one_address_outside_is_refused_whatever_its_others_are():
    with pytest.raises(AddressRefusedError, match=r"server \(8\.8\.8\.8\)"):
        check_addresses(("10.0.0.1", "8.8.8.8"), host="server", allow_remote=False)


def test_a_name_is_judged_by_what_it_resolves_to():
    found = resolved_addresses("http://localhost:1234/v1", allow_remote=False)
    assert found
    assert set(found) <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("http://GPU-7:8000/v1/", "http://gpu-7:8000/v1"),
        ("https://gpu.ward.lan/llm/v1/chat/completions", "https://gpu.ward.lan/llm/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_an_address_is_brought_to_the_base_of_its_routes(given, expected):
    assert server_url(given) == expected


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("127.0.0.1:8000", "begins with http"),
        ("ftp://127.0.0.1/v1", "begins with http"),
        ("http://", "begins with http"),
        ("http://me:secret@127.0.0.1/v1", "api_key_variable"),
        ("http://secret@127.0.0.1/v1", "api_key_variable"),
        ("http://127.0.0.1/v1?key=1", "extra_body"),
        ("http://127.0.0.1:eighty/v1", "no address"),
        ("http://2130706433/v1", "neither a name nor an address"),
        ("http://127.1/v1", "neither a name nor an address"),
        ("http://8.8.8.8./v1", "neither a name nor an address"),
        ("http://\uff11\uff12\uff17.0.0.1/v1", "neither a name nor an address"),
        ("http://127%2e0.0.1/v1", "neither a name nor an address"),
        ("http://[fe80::1%25eth0]/v1", "neither a name nor an address"),
    ],
)
def test_what_is_no_plain_address_is_refused_with_a_sentence_that_keeps_no_secret(given, problem):
    with pytest.raises(ConfigError, match=problem) as refused:
        server_url(given)
    assert "secret" not in str(refused.value)
