"""For which hosts a server of the sandbox responds.

A web page can make the name of its own site point to 127.0.0.1 (DNS rebinding), and then read whatever is served there.
The ``Host`` header of its requests still has that name, so only the names of this machine are accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

_NAME = re.compile(r"(?=.{1,254}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_HEADER = re.compile(r"(\[(?P<ipv6>[^\[\]]+)\]|(?P<name>[^\[\]:]+))(:\d{1,5})?")


def is_host(text: str) -> bool:
    """Check whether a text is an IP address or can be the name of a host.

    Args:
        text: An address without brackets and port, or a name.
    """
    return _address(text) is not None or _NAME.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Check whether a host is this machine, and cannot be reached from others.

    Args:
        host: An IP address without brackets, or a name in any case, with or without the dot at its end.
    """
    address = _address(host)
    if address is None:
        name = _normalized(host)
        return name == "localhost" or name.endswith(".localhost")
    return address.is_loopback


def is_accepted(headers: Iterable[str], listening_on: str) -> bool:
    """Check whether a request is meant for a server.

    One that listens on loopback responds to the names and addresses of loopback only. Any other also responds to every
    address, since no page can choose one as the name of its site, and to the name on which it listens.

    Args:
        headers: The values of the request's ``Host`` headers; there must be exactly one.
        listening_on: The host on which the server listens.
    """
    values = list(headers)
    found = _HEADER.fullmatch(values[0]) if len(values) == 1 else None
    if found is None:
        return False
    host = found["ipv6"] or found["name"]
    if is_loopback(host):
        return True
    is_own = _address(host) is not None or _normalized(host) == _normalized(listening_on)
    return is_own and not is_loopback(listening_on)


def in_url(listening_on: str) -> str:
    """Write the host on which a server listens as a client on this machine uses it in a URL.

    Args:
        listening_on: The host; ``0.0.0.0`` and ``::`` stand for all addresses, loopback included.
    """
    address = _address(listening_on)
    if address is None:
        return listening_on
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return str(address) if address.version == 4 else f"[{address}]".replace("%", "%25")


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _normalized(name: str) -> str:
    return name.lower().removesuffix(".")
