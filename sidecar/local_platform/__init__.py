"""The platform in a box, for development, the demo and tests: exact to the platform's contract."""

from sidecar.local_platform.control_wire import ApiKey, CountedConsume, Member, OrgBody
from sidecar.local_platform.faults import Faults, Malformed
from sidecar.local_platform.rejection import Rejection
from sidecar.local_platform.runner import run_platform
from sidecar.local_platform.seeds import Seed, SeedOrg, SeedProduct, default_seed, load_seed
from sidecar.local_platform.server import LocalPlatform

__all__ = [
    "ApiKey",
    "CountedConsume",
    "Faults",
    "LocalPlatform",
    "Malformed",
    "Member",
    "OrgBody",
    "Rejection",
    "Seed",
    "SeedOrg",
    "SeedProduct",
    "default_seed",
    "load_seed",
    "run_platform",
]
