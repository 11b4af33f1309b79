"""Build the image and try it as a pod: `python -m tests.kubernetes.image`.

Exit status 1 when something is not as it must be. Where the machine cannot do it, that is said
loudly, and the status is 0: the checks of the chart and of the Dockerfile's text run anywhere.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.kubernetes.image import building, pod, trial
from tests.kubernetes.image.podman import Podman, why_not


def main() -> int:
    """Do it all, in order; return the exit status."""
    reason = why_not()
    if reason:
        say(f"\n  *** THE IMAGE WAS NOT BUILT AND NOT TRIED HERE: {reason}\n")
        return 0
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "bizbasics-sidecar" / "image"
    podman = Podman(folder)
    step("base", lambda: building.make_base(podman, folder))
    step("wheels for both architectures", lambda: building.resolve_everywhere(folder))
    wheels = building.fill_wheelhouse(folder)
    builds: list[tuple[building.Build, str]]
    if building.reaches_debian(podman, folder):
        builds = [("compiled", building.IMAGE), ("pure", building.PURE_IMAGE)]
    else:
        builds = [("pure", building.IMAGE)]
        say(
            "\n  *** THE COMPILED BUILD, THE DEFAULT, WAS NOT BUILT AND NOT TRIED HERE: no build on"
            " this machine reaches Debian's mirror. What follows is of BUILD=pure.\n"
        )
    for which, image in builds:
        step(f"build, {which}", partial(building.build, podman, wheels, which, image))
        with trial.idle(podman, image) as python:
            step("is the build", partial(trial.is_the_build, podman, python, image, which))
            step("is small and bare", partial(trial.is_small_and_bare, podman, python, image))
            step("lists its packages", partial(trial.lists_its_packages, python))
            step("has its bytecode", partial(trial.has_its_bytecode, python))
        step("starts", partial(trial.starts, podman, image, folder))
    with pod.scene(podman, folder) as scene:
        for each in (
            trial.is_locked_down,
            trial.product_is_behind,
            trial.allows_then_denies,
            trial.streams,
            trial.ends_whole,
        ):
            step(each.__name__, partial(each, scene))
    return 0


def step(name: str, run: Callable[[], str | None]) -> None:
    """Run one step, and say what came of it and how long it took."""
    begun = time.monotonic()
    told = run()
    say(f"image: {name.replace('_', ' ')}: {told or 'done'} ({time.monotonic() - begun:.0f} s)")


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
