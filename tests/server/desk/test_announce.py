"""mDNS, on loopback, with zeroconf's own browser as the client."""

from __future__ import annotations

import asyncio

import pytest
from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf import asyncio as mdns

from server.desk.announce import OSC, QUERY, announce

pytestmark = pytest.mark.real


async def test_a_browser_finds_it_and_sees_it_go() -> None:
    changes: asyncio.Queue[tuple[str, str, ServiceStateChange]] = asyncio.Queue()

    def changed(
        zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        changes.put_nowait((service_type, name, state_change))

    name = f"Componium test {id(changes):x}"
    net = mdns.AsyncZeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
    browser = mdns.AsyncServiceBrowser(net.zeroconf, [QUERY, OSC], handlers=[changed])
    try:
        leave = await announce(name, 18220, 18210)
        try:
            for kind, port in ((QUERY, 18220), (OSC, 18210)):
                info = mdns.AsyncServiceInfo(kind, f"{name}.{kind}")
                assert await info.async_request(net.zeroconf, 5000)
                assert info.port == port and info.parsed_addresses() == ["127.0.0.1"]
        finally:
            await leave()
        gone: set[str] = set()
        async with asyncio.timeout(10):
            while len(gone) < 2:
                kind, found, change = await changes.get()
                if found.startswith(name) and change is ServiceStateChange.Removed:
                    gone.add(kind)
        assert gone == {QUERY, OSC}
    finally:
        await browser.async_cancel()
        await net.async_close()
