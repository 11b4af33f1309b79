"""The local platform as one object: its parts joined, started on a socket, and closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue, ValidationError

from sidecar.domain.errors import UserError
from sidecar.domain.ports import Clock
from sidecar.local_platform.control_wire import CountedConsume, OrgBody, TokenBody
from sidecar.local_platform.faults import Faults
from sidecar.local_platform.rejection import Rejection, in_words
from sidecar.local_platform.running import Running
from sidecar.local_platform.seeds import Seed, check_seed
from sidecar.local_platform.signing import make_signing_key
from sidecar.local_platform.store import Store


class LocalPlatform:
    """The platform in a box: quotas, auth host and control, in SQLite.

    Start it, talk HTTP to `url`, close it; also an async context manager on a free port.
    """

    def __init__(
        self,
        *,
        seed: Seed | None = None,
        db: Path | None = None,
        clock: Clock = time,
        issuer: str | None = None,
        close_deadline: float = 5.0,
    ) -> None:
        """Without `db` all is forgotten on close.

        Without `seed`, an empty database gets `default_seed()`; a seed is laid over a database
        again only when it changed. `issuer` is the `iss` of tokens; None means the URL that the
        caller reached the platform by. On close, running requests get `close_deadline` seconds.
        """
        if seed is not None:
            check_seed(seed)
        self._given_seed = seed
        self._db = db
        self._clock = clock
        self._issuer = issuer
        self._close_deadline = close_deadline
        self._running: Running | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Open the database and listen; port 0 takes a free one.

        Raises UserError for a database or an address that cannot be had.
        """
        if self._running is not None:
            raise RuntimeError(f"the local platform already listens at {self.url}")
        running = Running(Store(self._db), self._clock, self._issuer)
        try:
            running.apply_seed(self._given_seed)
            if running.keys.is_empty:
                running.keys.rotate(await asyncio.to_thread(make_signing_key), withdraw=False)
            await running.listen(host, port, self._close_deadline)
        except BaseException:
            await running.close()
            raise
        self._running = running

    async def close(self) -> None:
        """Stop listening, let running requests end, and close the database; twice is once."""
        running, self._running = self._running, None
        if running is not None:
            await running.close()

    async def __aenter__(self) -> LocalPlatform:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """The base URL, without a final slash; the API's and the auth host's alike."""
        return self._up.url

    @property
    def seed(self) -> Seed | None:
        """The seed in force with its keys; None where an older database was opened without one."""
        return self._up.seed

    def mint_token(
        self,
        org_id: str,
        *,
        user_id: str | None = None,
        role: str | None = None,
        ttl: int | None = None,
        claims: Mapping[str, JsonValue] | None = None,
    ) -> str:
        """Return a `bb_at`, as `POST /_control/token` does; `ttl` in seconds.

        Raises UserError for an unknown org or a value that does not fit.
        """
        try:
            body = TokenBody(org_id=org_id, user_id=user_id, role=role, ttl=ttl, claims=claims)
            return self._up.auth.mint(body, self.url).token
        except ValidationError as error:
            problem = error.errors()[0]
            raise UserError(f"token: {problem['loc'][0]}: {in_words(problem)}") from error
        except Rejection as rejection:
            raise UserError(f"token: {rejection.detail}") from rejection

    def set_faults(self, faults: Faults) -> None:
        """Do as `PUT /_control/faults`."""
        self._up.faults.set(faults)

    def clear_faults(self) -> None:
        """Do as `DELETE /_control/faults`."""
        self._up.faults.clear()

    def put_org(self, org_id: str, change: OrgBody) -> None:
        """Do as `PUT /_control/orgs/{id}`. Raises Rejection for an unknown product."""
        self._up.changes.put(org_id, change)

    def consumes(self, org_id: str | None = None) -> Sequence[CountedConsume]:
        """Return what was counted, oldest first, as `GET /_control/consumes`."""
        return self._up.book.counted(org_id)

    async def deliver_due(self) -> int:
        """Make every webhook attempt whose time has come, by the clock; return how many."""
        return await self._up.courier.deliver_due()

    @property
    def _up(self) -> Running:
        if self._running is None:
            raise RuntimeError("the local platform is not running: await start() first")
        return self._running
