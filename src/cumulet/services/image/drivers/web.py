# SPDX-License-Identifier: Apache-2.0
"""Fetching what users name by its address, and only from where that is allowed.

Users have this machine send requests, to places that they may not reach themselves. So the filter is asked of each
address on the way, and the address that it found for a name is the one that is connected to: a name that means
something else a moment later changes nothing. The rules and their order are those of Glance's `import_filtering_opts`.
"""

from __future__ import annotations

import http.client
import ipaddress
import logging
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import msgspec

from cumulet.kernel.errors import Invalid

LOG = logging.getLogger(__name__)

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS = 10
_PORTS = {"http": 80, "https": 443}
_IN_TARGETS = "/%:=&?~+!$,;'@()*[]"  # what stands in a request's target as it is
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Where may be fetched from. Of each pair of lists the first one counts, if it has words, else the second one.

    This machine and link-local addresses are out of bounds but for hosts that `allowed_hosts` names.
    """

    allowed_schemes: tuple[str, ...] = ("http", "https")
    disallowed_schemes: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    disallowed_hosts: tuple[str, ...] = ()
    allowed_ports: tuple[int, ...] = (80, 443)
    disallowed_ports: tuple[int, ...] = ()

    def passes(self, url: str) -> bool:
        """Whether data may be fetched from there; a name is looked up."""
        try:
            self.addresses(url)
        except Invalid:
            return False
        return True

    def addresses(self, url: str) -> list[str]:
        """The addresses that may be connected to for `url`; Invalid where there is none."""
        host, port = _place(url)
        if not _listed(urlsplit(url).scheme, self.allowed_schemes, self.disallowed_schemes):
            raise Invalid(f"The scheme of {url} is not allowed.")
        if not _listed(host, self.allowed_hosts, self.disallowed_hosts):
            raise Invalid(f"The host of {url} is not allowed.")
        if not _listed(port, self.allowed_ports, self.disallowed_ports):
            raise Invalid(f"The port of {url} is not allowed.")
        found = [each for each in resolve(host, port) if self._is_open(host, each)]
        if not found:
            raise Invalid(f"The host of {url} is at no address that is allowed.")
        return found

    def _is_open(self, host: str, address: str) -> bool:
        if host in self.allowed_hosts:
            return True
        said: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address)
        if isinstance(said, ipaddress.IPv6Address) and said.ipv4_mapped is not None:
            said = said.ipv4_mapped
        inside = said.is_loopback or said.is_link_local or said.is_unspecified or said.is_multicast
        barred = () if self.allowed_hosts else self.disallowed_hosts
        return not inside and not {address, str(said)} & set(barred)


class Download:
    """A body on its way in: `read` pieces. `size` is in bytes, None where the server does not say."""

    def __init__(self, response: http.client.HTTPResponse, deadline: float) -> None:
        said = response.headers.get("content-length", "")
        self.size = int(said) if said.isascii() and said.isdigit() else None
        self._response = response
        self._deadline = deadline
        self._done = 0

    def read(self, length: int) -> bytes:
        """The next up to `length` bytes, none at the end; Invalid where the line is cut or the time is up."""
        if time.monotonic() > self._deadline:
            raise Invalid("The download takes too long.")
        try:
            piece = self._response.read1(length)
        except (OSError, http.client.HTTPException) as error:
            raise Invalid(f"The download broke off: {_words(error)}") from error
        self._done += len(piece)
        if not piece and self.size is not None and self._done < self.size:
            raise Invalid(f"The download broke off: {self._done} of {self.size} bytes have come.")
        return piece


@contextmanager
def download(
    url: str,
    filter_: Filter,
    *,
    trusted: bool = False,
    headers: Mapping[str, str] = _NO_HEADERS,
    timeout: float = 60.0,
    time_limit: float = 86_400.0,
) -> Iterator[Download]:
    """What is at `url`, through redirects. `timeout` is a silence, `time_limit` the whole, in seconds.

    A `trusted` address is not held against the filter, those that it sends us to are. `headers` go to the first
    address's own server alone. Invalid for whatever does not come to a 200.
    """
    deadline = time.monotonic() + time_limit
    start = _origin(url)
    with ExitStack() as closing:
        for count in range(MOST_REDIRECTS + 1):
            known = _origin(url) == start
            places = resolve(*_place(url)) if trusted and known else filter_.addresses(url)
            response = closing.enter_context(ask(url, places, headers if known else _NO_HEADERS, timeout))
            if response.status not in REDIRECTS:
                break
            closing.close()
            url = urljoin(url, response.headers.get("location", ""))
            LOG.debug("redirect %d leads to %s", count + 1, url)
        else:
            raise Invalid("The address leads from one place to the next.")
        if response.status != 200:
            raise Invalid(f"The server answered {response.status} {response.reason}.")
        yield Download(response, deadline)


@contextmanager
def ask(
    url: str, addresses: list[str], headers: Mapping[str, str], timeout: float, method: str = "GET"
) -> Iterator[http.client.HTTPResponse]:
    """What the server at one of `addresses` answers, redirects too; Invalid where none does."""
    parts = urlsplit(url)
    connection = _connect(parts, addresses, timeout)
    try:
        target = quote(parts.path or "/", safe=_IN_TARGETS)
        if parts.query:
            target += "?" + quote(parts.query, safe=_IN_TARGETS)
        connection.request(method, target, headers={"Accept-Encoding": "identity", **headers})
        response = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise Invalid(f"The server did not answer: {_words(error)}") from error
    try:
        yield response
    finally:
        response.close()
        connection.close()


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host in their usual order; Invalid for one that is not known, or a number in disguise."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    if _is_number(host):
        raise Invalid(f"{host} is no name of a host.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Invalid(f"The host {host} is not known.") from error
    return list(dict.fromkeys(str(each[4][0]).partition("%")[0] for each in found))


def _connect(parts: SplitResult, addresses: list[str], timeout: float) -> http.client.HTTPConnection:
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    problem: Exception = Invalid(f"{host} has no address.")
    for address in addresses:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
        try:
            line = socket.create_connection((address, port), timeout)
            connection.sock = _secure(line, host) if parts.scheme == "https" else line
        except OSError as error:
            problem = error
        else:
            return connection
    raise Invalid(f"The server cannot be reached: {_words(problem)}") from problem


def _secure(line: socket.socket, host: str) -> ssl.SSLSocket:
    try:
        return ssl.create_default_context().wrap_socket(line, server_hostname=host)
    except BaseException:
        line.close()
        raise


def _place(url: str) -> tuple[str, int]:
    """The host and the port of an address; Invalid for one that has none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Invalid(f"{url} is no address.") from error
    if not host or parts.scheme not in _PORTS or not url.isprintable() or " " in url:
        raise Invalid(f"{url} is no address of the web.")
    return host, _PORTS[parts.scheme] if port is None else port


def _origin(url: str) -> tuple[str, str, int]:
    return (urlsplit(url).scheme, *_place(url))


def _is_number(host: str) -> bool:
    """Whether the system would take it for an IPv4 address in one of its old spellings (`127.1`, `0x7f000001`)."""
    try:
        socket.inet_aton(host)
    except (OSError, UnicodeError):
        return False
    return True


def _listed(value: object, allowed: tuple[object, ...], disallowed: tuple[object, ...]) -> bool:
    return value in allowed if allowed else value not in disallowed


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
