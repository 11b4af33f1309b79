"""What the kubelet does to a pod, done to a process: volumes that change, and a pod's end.

The kubelet's atomic writer puts the files into a folder with a name of its own, leads a link
`..data` there by a rename, and removes the folder before; the files that a container sees are links
through `..data`, made once.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from signal import SIGTERM

from tests.e2e.programs import SidecarProgram, run


class Volume:
    """A ConfigMap or Secret, mounted as a folder."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self.folder = folder
        self._version = 0
        folder.mkdir()
        self.write(files)
        for name in files:
            (folder / name).symlink_to(Path("..data", name))

    def write(self, files: Mapping[str, str]) -> None:
        """Change the content as the kubelet does: all files at once."""
        before = self.folder / f"..2026_01_01.{self._version}"
        self._version += 1
        now = self.folder / f"..2026_01_01.{self._version}"
        now.mkdir()
        for name, text in files.items():
            (now / name).write_text(text)
        link = self.folder / "..data_tmp"
        link.symlink_to(now.name)
        link.replace(self.folder / "..data")
        shutil.rmtree(before, ignore_errors=True)


async def end_pod(sidecar: SidecarProgram, *, after: int) -> int:
    """End a pod: the preStop hook first, SIGTERM when it has ended; return the exit status."""
    admin = sidecar.admin_url.removeprefix("http://")
    status, _, err = await run("drain", "--admin", admin, "--after", str(after), seconds=60)
    assert status == 0, err
    sidecar.send(SIGTERM)
    return await sidecar.ended(30)
