"""mDNS: what is here, and at which port, for OSCQuery clients that look for it."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from zeroconf import Error, InterfaceChoice, IPVersion, ServiceInfo
from zeroconf import asyncio as mdns

from engines.base import Mistake

from .whereabouts import addresses

QUERY, OSC = "_oscjson._tcp.local.", "_osc._udp.local."
LEAVING = 0.4  # s for saying that it is here no more


async def announce(
    name: str, http: int, osc: int, lan: bool = False
) -> Callable[[], Awaitable[None]]:
    """Make both ports known until what this returns is called.

    name: what people see; another Componium of the same name makes it end in a number.
    osc: 0 where there is none.  lan: in the whole network, else on this machine alone.
    Errors: Mistake where nothing can be made known.
    """
    machine = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname().partition(".")[0]) or "componium"
    where = await asyncio.to_thread(addresses, lan)
    try:
        net = mdns.AsyncZeroconf(
            interfaces=InterfaceChoice.Default if lan else where, ip_version=IPVersion.V4Only
        )
    except OSError as error:
        raise Mistake("--announce", f"there is no multicast here: {error.strerror}") from None
    try:
        for kind, port in ((QUERY, http), (OSC, osc)):
            if port:
                info = ServiceInfo(
                    kind,
                    f"{name}.{kind}",
                    port,
                    server=f"{machine}.local.",
                    parsed_addresses=where,
                )
                await net.async_register_service(info, allow_name_change=True)
    except (OSError, Error) as error:
        await _leave(net)
        raise Mistake("--announce", f"it cannot be made known: {error!r}") from None
    return partial(_leave, net)


async def _leave(net: mdns.AsyncZeroconf) -> None:
    with suppress(TimeoutError, OSError, Error):
        async with asyncio.timeout(LEAVING):
            await net.async_unregister_all_services()
    with suppress(TimeoutError, OSError, Error):
        async with asyncio.timeout(LEAVING):
            await net.async_close()
