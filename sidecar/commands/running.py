"""How a command that asks the platform runs: keys, client, answer, and what its failures mean.

A mistake of the user (a missing key, one that is refused, an org that is not there) is a
`UserError`: one line, exit 2. A platform that does not answer is one line and exit 1.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from sidecar.client import (
    CredentialMissingError,
    CredentialRefusedError,
    PlatformClient,
    PlatformError,
)
from sidecar.commands import doctor, quota, webhooks, workspace
from sidecar.commands.access import client_for, missing, refused
from sidecar.commands.output import Shown, show
from sidecar.domain.errors import TransientError, UserError
from sidecar.settings.commands import AccessSettings
from sidecar.settings.fields import read_section

Act = Callable[[PlatformClient, argparse.Namespace], Awaitable[Shown]]

ACTS: Final[Mapping[str, Act]] = {
    "quota.status": quota.status,
    "quota.breakdown": quota.breakdown,
    "quota.consume": quota.consume,
    "workspace.publish": workspace.publish,
    "workspace.list_records": workspace.list_records,
    "workspace.catalog": workspace.catalog,
    "workspace.search": workspace.search,
    "webhooks.register": webhooks.register,
    "webhooks.test": webhooks.test,
    "webhooks.deliveries": webhooks.deliveries,
    "webhooks.requests": webhooks.requests,
}
"""What each command does, under the name that `registration` has for it."""

DOCTOR: Final = "doctor.examine"


def run_act(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run the command `args.act`; return its exit status. Raises UserError."""
    act: str = args.act
    access = read_section(AccessSettings, args, environ)

    async def ask() -> Shown:
        async with client_for(access) as client:
            if act == DOCTOR:
                return await doctor.examine(client, args, access, environ)
            return await ACTS[act](client, args)

    try:
        return show(asyncio.run(ask()), as_json=args.json)
    except CredentialMissingError as error:
        raise missing(error) from error
    except CredentialRefusedError as error:
        raise refused(error) from error
    except TransientError as error:
        sys.stderr.write(f"bb-sidecar: {error}: try again later\n")
        return 1
    except PlatformError as error:
        raise UserError(str(error)) from error
