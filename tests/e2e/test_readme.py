"""The README's way to an own product, as a reader pastes it: metered, and denied over quota."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from pathlib import Path
from typing import Final

from tests.free_ports import free_port

README: Final = Path(__file__).parents[2] / "README.md"
PORTS: Final = ("8080", "8092", "8000", "9901")
END: Final = "\nkill $(jobs -p); wait\n"


def pasted() -> str:
    """Return the blocks from the policy on: what is installed is there, and no docker is."""
    text = README.read_text(encoding="utf-8")
    way = text[text.index("**2. Write a policy.**") : text.index("**7. Stop**")]
    blocks = "".join(re.findall(r"^```bash\n(.*?)^```", way, re.MULTILINE | re.DOTALL))
    return re.sub(r"^(pip|docker) .*\n", "", blocks, flags=re.MULTILINE)


async def test_the_readme_leads_to_a_metered_product(tmp_path: Path) -> None:
    """Three calls are answered, the fourth is refused, and the doctor finds nothing wrong."""
    script = pasted()
    free = dict(zip(PORTS, (str(free_port()) for _ in PORTS), strict=True))
    for port, other in free.items():
        script = re.sub(rf"(:|--port ){port}\b", rf"\g<1>{other}", script)
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PORT": free["8080"],
        "SIDECAR_ADMIN": f"127.0.0.1:{free['9901']}",
    }
    script = script.replace(
        "bb-sidecar platform", f"bb-sidecar platform --listen 127.0.0.1:{free['8092']}"
    )
    shell = await asyncio.create_subprocess_exec(
        "bash", "-ec", script + END, cwd=tmp_path, env=environ, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(60):
            output = (await shell.communicate())[0].decode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
    assert re.findall(r"HTTP/1.1 (\d+)", output) == ["401", "200", "200", "200", "429"], output
    assert "policy.yaml: ok\n" in output
    assert re.search(r"^ok +token +accepted", output, re.MULTILINE)
    assert 'code="429",reason="over_quota",route="chat",verdict="deny"} 1.0' in output
