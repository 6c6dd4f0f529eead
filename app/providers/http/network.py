"""Proxies and certificate authorities, from the variables that curl, OpenSSL and requests read.

An invalid variable is an error at start with its name, but without a proxy's value, which may contain a password.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

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

_IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class NoProxyRule:
    """One entry of NO_PROXY: `*`, a host with its subdomains, an address or a network, each with or without a port.

    Raises ValueError for anything else."""

    def __init__(self, text: str) -> None:
        self.network: _IpNetwork | None = None
        self.suffix, self.port = "", None  # type: str, int | None
        bracketed = re.fullmatch(r"\[([^\]]+)\](/\d+)?(?::(\d+))?", text)
        if bracketed:
            address, length, port = bracketed.groups()
            self.network, self.port = ipaddress.ip_network(f"{address}{length or ''}", strict=False), _port(port)
            return
        host, colon, port = text.rpartition(":")
        if not colon or ":" in host:  # no port, or an IPv6 address without brackets
            host, port = text, ""
        self.port = _port(port)
        if re.search(r"[/:]|^[\d.]+$", host):
            self.network = ipaddress.ip_network(host, strict=False)
        else:
            self.suffix = host.removeprefix("*").strip(".").lower()
            if (not self.suffix and host != "*") or not re.fullmatch(r"[\w.-]*", self.suffix):
                raise ValueError("neither a host nor a network")

    def matches(self, host: str, port: int | None) -> bool:
        """Whether calls to a host, in lower case and without brackets, use no proxy."""
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            address = _address(host)
            return address is not None and address in self.network
        return not self.suffix or host == self.suffix or host.endswith(f".{self.suffix}")


class Network:
    """The environment's proxies and certificate authorities. Raises ConfigurationError with the variable."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = environment or {}
        self._proxies = {scheme: _proxy(environment, scheme) for scheme in ("http", "https")}
        self._direct = _no_proxy(environment)
        self._authorities = tuple((file, file.stat().st_mtime_ns) for file in _authorities(environment))

    def proxy_for(self, url: str) -> str | None:
        """Return the proxy's URL; None for a direct connection, which loopback always uses."""
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
        if _is_this_machine(host) or any(rule.matches(host, port) for rule in self._direct):
            return None
        return self._proxies.get(parts.scheme)

    def client_options(self, url: str) -> dict[str, Any]:
        """Return keyword arguments of an httpx client for `url` only."""
        return {"trust_env": False, "proxy": self.proxy_for(url), "verify": self.ssl_context()}

    def ssl_context(self) -> ssl.SSLContext:
        """Return the context for all TLS connections, with the variables' authorities, else certifi's and the
        system's."""
        return _context(self._authorities)


@lru_cache(maxsize=8)
def _context(authorities: tuple[tuple[Path, int], ...]) -> ssl.SSLContext:
    """Return one context for all sources: reading certificates takes 50 ms, a folder of them half a second."""
    if not authorities:
        context = httpx.create_ssl_context(trust_env=False)
        context.load_default_certs()
        return context
    context = ssl.create_default_context(cafile=str(authorities[0][0]))
    for file, _ in authorities[1:]:
        context.load_verify_locations(cafile=str(file))
    return context


def _is_this_machine(host: str) -> bool:
    """Whether a URL's host is this machine: localhost and its subdomains, 127.0.0.0/8, ::1 in any spelling."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address is not None and (address.is_loopback or address.is_unspecified)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:  # 127.1, 0x7f000001: what getaddrinfo reads as an address
        return ipaddress.IPv4Address(socket.inet_aton(host)) if host[:1].isdigit() else None
    except OSError:
        return None


def _port(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65_536):
        raise ValueError("not a port")
    return int(text)


def _proxy(environment: Mapping[str, str], scheme: str) -> str | None:
    for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"):
        if text := environment.get(name, "").strip():
            return _proxy_url(name, text)
    return None


def _proxy_url(variable: str, text: str) -> str:
    if "://" not in text:
        text = f"http://{text}"
    try:
        parts: SplitResult | None = urlsplit(text)
        good = parts is not None and parts.hostname and parts.port != 0 and not parts.path.strip("/")
    except ValueError:  # its text contains the value
        parts, good = None, False
    if parts is not None and parts.scheme.startswith("socks"):
        raise ConfigurationError(
            f"{variable}: {parts.scheme}:// proxies are not supported; set it to an http:// proxy, such as"
            " http://proxy.example:3128, or unset it."
        )
    if parts is None or not good or parts.scheme not in ("http", "https"):
        raise ConfigurationError(f"{variable}: must be a proxy's URL such as http://proxy.example:3128, or unset.")
    return text


def _no_proxy(environment: Mapping[str, str]) -> list[NoProxyRule]:
    name = next((name for name in ("no_proxy", "NO_PROXY") if environment.get(name, "").strip()), "NO_PROXY")
    rules = []
    for number, text in enumerate(re.split(r"[,\s]+", environment.get(name, "").strip()), start=1):
        if text:
            try:
                rules.append(NoProxyRule(text))
            except ValueError:
                raise ConfigurationError(
                    f"{name}: entry {number} is neither a host, a domain such as .example.com, an address nor a network"
                    " such as 10.0.0.0/8, with or without a port."
                ) from None
    return rules


def _authorities(environment: Mapping[str, str]) -> Sequence[Path]:
    """Return the files of certificate authorities, each with at least one."""
    files: list[Path] = []
    for name in _FILES:
        if text := environment.get(name):
            if not _certificates(Path(text)):
                raise ConfigurationError(
                    f"{name}: {text} is not a file with certificates in PEM that can be read; name one, or unset it."
                )
            files.append(Path(text))
    for text in filter(None, environment.get(_FOLDERS, "").split(os.pathsep)):
        found = [file for file in sorted(Path(text).glob("*")) if _certificates(file)]
        if not found:
            raise ConfigurationError(
                f"{_FOLDERS}: {text} is not a folder of files with certificates in PEM; name one, or unset it."
            )
        files += found
    return files


def _certificates(file: Path) -> int:
    """Return the number of certificates in a file; 0 if it is not PEM or cannot be read."""
    try:
        return _count(file, file.stat().st_mtime_ns)
    except OSError:  # ssl.SSLError is one
        return 0


@lru_cache(maxsize=1024)
def _count(file: Path, _modified: int) -> int:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=str(file))
    return context.cert_store_stats()["x509"]


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address (IPv6 with or without brackets), is one that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
