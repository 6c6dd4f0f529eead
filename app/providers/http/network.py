"""Proxies and certificate authorities, from the variables that curl, OpenSSL and requests read.

An invalid variable is an error at start with its name, but without a proxy's value, which may contain a password.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.domain.errors import ConfigurationError

#: The variables that this module reads, for the reference. The proxies' names may be in lower case, which goes first.
VARIABLES = {
    "HTTP_PROXY": "proxy for `http://` addresses, as a URL; loopback is never reached through one",
    "HTTPS_PROXY": "proxy for `https://` addresses, such as the vendors'",
    "ALL_PROXY": "proxy where the scheme has none of its own",
    "NO_PROXY": "exceptions, comma-separated: hosts with their subdomains, IP addresses and networks, with or without a"
    " port; `*`",
    "SSL_CERT_FILE": "file (PEM) of certificate authorities to trust instead of the system's",
    "REQUESTS_CA_BUNDLE": "another such file; both are trusted",
    "SSL_CERT_DIR": "folders of such files, separated by `:`; they are trusted as well",
}

_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_FOLDERS = "SSL_CERT_DIR"

_Addresses = ipaddress.IPv4Network | ipaddress.IPv6Network


class Network:
    """The environment's proxies and certificate authorities. Raises ConfigurationError with the variable."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = environment or {}
        self._proxies = {scheme: _proxy(environment, scheme) for scheme in ("http", "https")}
        self._direct = list(_no_proxy(environment))
        files = [(name, environment[name]) for name in _FILES if environment.get(name)]
        folders = [(_FOLDERS, each) for each in environment.get(_FOLDERS, "").split(os.pathsep) if each]
        self._authorities = (*files, *folders)
        if self._authorities:
            self.ssl_context()

    def proxy_for(self, url: str) -> str | None:
        """Return the proxy's URL; None for a direct connection, which loopback always uses."""
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        address = _address(host)
        if is_loopback(host) or (address is not None and address.is_unspecified):
            return None
        for rule, its_port in self._direct:
            is_it = host.endswith(rule) if isinstance(rule, str) else address is not None and address in rule
            # A name matches itself, too.
            if (is_it or rule == f".{host}") and its_port in (None, port):
                return None
        return self._proxies.get(parts.scheme)

    def client_options(self, url: str) -> dict[str, Any]:
        """Return keyword arguments of an httpx client for `url` only."""
        return {"trust_env": False, "proxy": self.proxy_for(url), "verify": self.ssl_context()}

    def ssl_context(self, *, own: bool = False) -> ssl.SSLContext:
        """Return the context for all TLS connections, with the variables' authorities, else certifi's and the
        system's. `own`: one that the caller may change."""
        return (_context.__wrapped__ if own else _context)(self._authorities)


@lru_cache(maxsize=8)
def _context(authorities: tuple[tuple[str, str], ...]) -> ssl.SSLContext:
    """Return one context for all sources: reading certificates takes 50 ms, a folder of them half a second."""
    if not authorities:
        context = httpx.create_ssl_context(trust_env=False)
        context.load_default_certs()
        return context
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for variable, path in authorities:
        loaded = 0
        for file in sorted(Path(path).glob("*")) if variable == _FOLDERS else [Path(path)]:
            with suppress(OSError):  # ssl.SSLError is one
                context.load_verify_locations(cafile=file)
                loaded += 1
        if not loaded:
            what = "a folder of files" if variable == _FOLDERS else "a file"
            raise ConfigurationError(
                f"{variable}: {path} is not {what} with certificates in PEM that can be read; name one, or unset it."
            )
    return context


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that getaddrinfo would read, in spellings such as 127.1 too; None for a name."""
    with suppress(ValueError):
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
        return getattr(address, "ipv4_mapped", None) or address
    with suppress(OSError):
        return ipaddress.IPv4Address(socket.inet_aton(host)) if host[:1].isdigit() else None
    return None


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address (IPv6 with or without brackets), is one that only this machine reaches."""
    address = _address(host)
    return address.is_loopback if address is not None else host == "localhost" or host.endswith(".localhost")


def _proxy(environment: Mapping[str, str], scheme: str) -> str | None:
    for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"):
        if text := environment.get(name, "").strip():
            break
    else:
        return None
    has_scheme = "://" in text
    text = text if has_scheme else f"http://{text}"
    with suppress(ValueError):  # its text contains the value
        parts = urlsplit(text)
        is_port = parts.port != 0 and (has_scheme or parts.port is not None)
        if parts.scheme in ("http", "https") and parts.hostname and is_port and not parts.path.strip("/"):
            return text
    socks = " SOCKS proxies are not supported." if text.startswith("socks") else ""
    raise ConfigurationError(f"{name}: must be a proxy's URL such as http://proxy.example:3128, or unset.{socks}")


def _no_proxy(environment: Mapping[str, str]) -> Iterator[tuple[_Addresses | str, int | None]]:
    name = next((name for name in ("no_proxy", "NO_PROXY") if environment.get(name, "").strip()), "NO_PROXY")
    for number, text in enumerate(re.split(r"[,\s]+", environment.get(name, "").strip()), start=1):
        try:
            if text:
                yield _exception(text)
        except ValueError:
            raise ConfigurationError(
                f"{name}: entry {number} is neither a host, a domain such as .example.com, an address nor a network"
                " such as 10.0.0.0/8, with or without a port."
            ) from None


def _exception(text: str) -> tuple[_Addresses | str, int | None]:
    """Return the network, or the end of names, and the port of an entry of NO_PROXY. Raises ValueError."""
    with suppress(ValueError):
        return ipaddress.ip_network(text, strict=False), None
    # [::1]:80, [fe80::]/10, 10.0.0.0/8:80, *.example.com:80
    found = re.fullmatch(r"(?:\[(?P<six>[^\]]+)\](?P<length>/\d+)?|(?P<host>[^:\[\]]+))(?::(?P<port>\d+))?", text)
    if found is None:
        raise ValueError("neither a host nor a network")
    host, port = found["host"] or found["six"] + (found["length"] or ""), int(found["port"] or 0) or None
    if (found["port"] and port is None) or (port or 0) > 65_535:
        raise ValueError("not a port")
    if found["six"] or re.search(r"/|^[\d.]+$", host):
        return ipaddress.ip_network(host, strict=False), port
    name = host.removeprefix("*").strip(".").lower()
    if (not name and host != "*") or not re.fullmatch(r"[\w.-]*", name):
        raise ValueError("neither a host nor a network")
    return f".{name}" if name else "", port
