"""Which addresses may be called at the wish of a user: the rules, without any connection.

Private, loopback, link-local, carrier-grade, documentation, multicast and metadata ranges are refused,
also when they hide in an IPv4-mapped, 6to4, Teredo or NAT64 address or in a decimal or octal spelling.
An operator opens single hosts with CHOSEN_OUTBOUND_ALLOW (`host` or `host:port`, comma-separated).
Metadata addresses stay shut even then, unless the literal address itself is listed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2
from django.utils.translation import gettext as _

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]

_DEFAULT_PORTS = {"http": 80, "https": 443}

# Beyond what Python 3.11's registry copy knows: protocol assignments, Azure's own host, 6to4 relays,
# local NAT64, IETF protocol addresses, documentation and segment routing.
_ALSO_REFUSED = [
    ipaddress.ip_network(cidr)
    for cidr in (
        "192.0.0.0/24",
        "168.63.129.16/32",
        "192.88.99.0/24",
        "64:ff9b:1::/48",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
    )
]
_METADATA = [
    ipaddress.ip_network(cidr)
    for cidr in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::254/128",
        "100.100.100.200/32",
        "192.0.0.192/32",
        "168.63.129.16/32",
    )
]
# NAT64's well-known prefix and the old "IPv4-compatible" range carry an IPv4 address in their last 32 bits.
_CARRIERS = [ipaddress.ip_network(cidr) for cidr in ("64:ff9b::/96", "::/96")]


class OutboundError(Exception):
    """A call to an outside address that was refused or went wrong."""

    permanent = False


class OutboundRefusedError(OutboundError):
    """The URL or the address behind it may not be called. Trying again does not help."""

    permanent = True


class NoAddressError(OutboundError):
    """The name has no address at this moment."""


@dataclass(frozen=True)
class Target:
    """A URL that passed the syntax rules: `host` is lower case, ASCII, without brackets or final dot."""

    scheme: str
    host: str
    port: int


def parse_outbound_url(url: str) -> Target:
    """Scheme, host and port of a URL we may try to call, read by the parser that will send it.

    Raises OutboundRefusedError for another scheme, user info, a missing host, white space or backslashes, and
    for numeric spellings of an address other than the plain one (`2130706433`, `0177.1`, `0x7f.1`).
    """
    if any(char.isspace() or ord(char) < 32 or char == "\\" for char in url):
        raise OutboundRefusedError(_("The address contains spaces, control characters or backslashes."))
    try:
        parsed = httpx2.URL(url)
        port = parsed.port or _DEFAULT_PORTS.get(parsed.scheme, 0)
        other_host = urlsplit(url).hostname or ""
    except (httpx2.InvalidURL, ValueError, UnicodeError) as error:
        raise OutboundRefusedError(_("This is not a valid web address.")) from error
    if parsed.scheme not in _DEFAULT_PORTS:
        raise OutboundRefusedError(_("Only http and https addresses can be called."))
    if parsed.userinfo or "@" in (parsed.netloc.decode("ascii", "replace")):
        raise OutboundRefusedError(_("An address with a user name or password in it is not accepted."))
    host = canonical_host(parsed.raw_host.decode("ascii", "replace"))
    if not host or not other_host:
        raise OutboundRefusedError(_("The address has no host."))
    if not 0 < port < 65536:
        raise OutboundRefusedError(_("The port must lie between 1 and 65535."))
    if _as_address(host) is None and _looks_numeric(host):
        raise OutboundRefusedError(_("The host is an unusual spelling of a numeric address."))
    return Target(parsed.scheme, host, port)


def is_public_address(address: IPAddress) -> bool:
    """Whether an address belongs to the public internet, looking inside addresses that carry another."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None or address.is_site_local:
            return False
        inner = _embedded_v4(address)
        if inner is not None:
            return is_public_address(inner)
    if any(address in network for network in _ALSO_REFUSED if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_allowed(target: Target, allow: Iterable[str]) -> bool:
    """Whether an operator's list names this host, or this host and port."""
    names = {target.host, f"{target.host}:{target.port}", f"[{target.host}]:{target.port}"}
    return any(canonical_host(entry.strip()) in names or entry.strip().lower() in names for entry in allow)


def resolve_target(target: Target, *, allow: Iterable[str] = (), resolver: Resolver) -> str:
    """The one address to connect to. Raises OutboundRefusedError, or NoAddressError for a name without one.

    Every address of the name must be public: a name that mixes public and private ones is refused.
    """
    allow = list(allow)
    listed = is_allowed(target, allow)
    literal = _as_address(target.host)
    found = [literal] if literal else _parse_all(resolver(target.host, target.port))
    if not found:
        raise NoAddressError(_("The host %(host)s has no address.") % {"host": target.host})
    for address in found:
        if listed and (literal is not None or not _is_metadata(address)):
            continue
        if not is_public_address(address):
            raise OutboundRefusedError(
                _(
                    "%(host)s leads to a private or reserved address. An operator can allow it: add "
                    "%(entry)s to CHOSEN_OUTBOUND_ALLOW in the server's environment and restart Chosen."
                )
                % {"host": target.host, "entry": f"{target.host}:{target.port}"}
            )
    return str(found[0])


def canonical_host(host: str) -> str:
    host = host.strip().lower()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return host.rstrip(".")


def _as_address(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _looks_numeric(host: str) -> bool:
    """Whether the C library would read a name as an address: its last part is a number in some base."""
    last = host.rpartition(".")[2]
    return last.isdigit() or last.startswith("0x") or "%" in host or ":" in host


def _embedded_v4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in network for network in _CARRIERS):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _is_metadata(address: IPAddress) -> bool:
    inner = _embedded_v4(address) if isinstance(address, ipaddress.IPv6Address) else None
    return any(
        candidate in network
        for candidate in (address, inner)
        if candidate is not None
        for network in _METADATA
        if network.version == candidate.version
    )


def _parse_all(texts: Sequence[str]) -> list[IPAddress]:
    found: list[IPAddress] = []
    for text in texts:
        address = _as_address(text)
        if address is None:
            raise OutboundRefusedError(_("The host's address could not be read."))
        found.append(address)
    return found
