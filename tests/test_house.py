"""The rules of the house that no linter knows: who may import whom, and what each file must be.

A rule fails with the list of all that break it. A new part of the package is entered in `EDGES`
with what it may import, in the same commit; until then it may import the leaves and nothing may
import it.
"""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
PACKAGE: Final = ROOT / "sidecar"
TESTS: Final = ROOT / "tests"

LEAVES: Final = frozenset({"model", "errors", "ports", "values"})
SETTINGS: Final = frozenset(
    {"settings", "setting_credentials", "setting_options", "setting_values", "key_source"}
)
REFUSALS: Final = frozenset({"refusals", "refusal_words"})
FRONTENDS: Final = LEAVES | REFUSALS | {"admission", "places", "policy", "http1", "settings"}
COMMANDS: Final = frozenset({"cli", "commands", "demo", "local_platform", "__main__"})

EDGES: Final[dict[str, frozenset[str]]] = {
    # the leaves, which hold values and protocols
    "errors": frozenset(),
    "values": frozenset(),
    "model": frozenset({"values"}),
    "ports": frozenset({"model"}),
    # a bound on waiting, shared by those that read bodies
    "places": frozenset(),
    # pure words shared by adapters or frontends
    "quota_wire": frozenset({"model"}),
    "refusal_words": frozenset({"model"}),
    "refusals": frozenset({"model", "refusal_words", "values"}),
    "key_source": frozenset({"errors"}),
    "redis_url": frozenset(),
    "setting_values": frozenset({"errors", "redis_url"}),
    "setting_options": frozenset({"errors", "setting_values"}),
    "settings": (SETTINGS - {"settings"}) | {"errors", "model"},
    "processes": frozenset(),
    "setting_credentials": frozenset({"errors", "key_source", "setting_options"}),
    "open_files": frozenset({"settings"}),
    "http1": frozenset({"errors"}),
    "background": frozenset(),
    # what the container leaves for request bodies
    "memory_limit": frozenset({"model", "proxy"}),
    # time that the event loop lost: what waits for a peer asks for it
    "stalls": frozenset(),
    # how adapters reach the platform: aiohttp's resolver and proxy
    "outbound": frozenset({"http1"}),
    "startup_warnings": frozenset({"outbound", "setting_values"}),
    # what every command writes to
    "standard_output": frozenset({"errors"}),
    # the core
    "policy": LEAVES | {"processes"},
    "admission": LEAVES | {"policy", "stalls"},
    # adapters: never the engine, never each other
    "identity": LEAVES | {"quota_wire", "outbound"},
    "platform": LEAVES | {"quota_wire", "http1", "key_source", "outbound", "stalls"},
    "events": LEAVES | {"key_source"},
    "notices": LEAVES,
    "storage": LEAVES | {"redis_url"},
    "telemetry": LEAVES,
    # frontends: what asks the engine
    "proxy": FRONTENDS,
    "frontends": FRONTENDS,
    "admin": FRONTENDS,
    # wiring: what the parts tell, put together for the admin port
    "status": LEAVES
    | {"admin", "admission", "identity", "platform", "policy", "proxy", "telemetry"},
    # wiring: the journal's files and the books that they fill
    "journal_keeper": LEAVES | {"admission"},
    # wiring: what is done at the platform beside the consume call
    "side_jobs": LEAVES
    | {"events", "key_source", "notices", "platform", "policy", "proxy", "settings", "telemetry"},
    # pure, for a command
    "explaining": LEAVES | {"policy", "admission"},
    # a process of its own: the admission webhook
    "inject": frozenset({"model", "errors", "places"}),
    # what asks the platform for people
    "commands": LEAVES
    | SETTINGS
    | {"events", "outbound", "platform", "policy", "startup_warnings"},
    # for development and tests alone
    "local_platform": LEAVES,
}
EDGES["app"] = frozenset(EDGES) - COMMANDS  # wires all of them together
EDGES["serving"] = LEAVES | SETTINGS | {"app", "policy", "startup_warnings", "telemetry"}
EDGES["workers"] = EDGES["serving"] | {"admin", "processes", "serving"}
EDGES["demo"] = frozenset(EDGES)
EDGES["cli"] = frozenset(EDGES)
EDGES["__main__"] = frozenset({"cli"})

PURE: Final = LEAVES | REFUSALS | {"quota_wire", "redis_url", "setting_values"}
IMPURE_MODULES: Final = frozenset(
    {"aiohttp", "asyncio", "logging", "os", "socket", "sqlite3", "time", "uvloop"}
)

UNTESTED: Final = {
    "inject/words.py": "names without behaviour",
    "__init__.py": "the version, which packaging reads",
    "errors.py": "classes without behaviour",
    "ports.py": "protocols without behaviour",
    "platform/results.py": "values without behaviour",
    "platform/uses.py": "a table without behaviour",
}
"""Source files that need no test file of their own, and why; a package's `__init__` is one too."""

TESTED_WITH: Final = {
    # Wiring shows what it does only when it runs.
    "side_jobs.py": "e2e/test_webhooks.py",
    # Phases and records of the engine have no behaviour apart from it.
    "admission/idempotency.py": "unit/admission/test_keys.py",
    "admission/journal_contents.py": "unit/admission/test_journal_damage.py",
    "admission/journal_frames.py": "unit/admission/test_journal_file.py",
    "admission/journal_records.py": "unit/admission/test_journal_damage.py",
    "admission/moment.py": "unit/admission/test_ledger.py",
    "admission/payments.py": "unit/admission/test_engine.py",
    "admission/verdict.py": "unit/admission/test_engine.py",
}
"""Source files that are tested in another's test file, grouped under the reason for it."""

LONGEST_SOURCE: Final = 400
LONGEST_TEST: Final = 500
SHAPELESS: Final = frozenset({"util", "utils", "helper", "helpers", "common", "misc"})


def sources() -> list[Path]:
    """Return every module of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    """Return the part a module belongs to: its top-level package or module under `sidecar`."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def tree_of(path: Path) -> ast.Module:
    """Parse a module, once."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported_modules(path: Path) -> Iterator[str]:
    """Give the full name of every module that a module imports, wherever in it the import is."""
    package = ["sidecar", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if module == "sidecar":  # `from sidecar import policy` imports a part
                yield from (f"sidecar.{alias.name}" for alias in node.names)
            else:
                yield module


def imported_parts(path: Path) -> set[str]:
    """Return the other parts of the package that a module imports."""
    own = {part_of(path), "__version__"}
    names = (module.split(".") for module in imported_modules(path))
    return {name[1] for name in names if name[0] == "sidecar" and len(name) > 1} - own


def shown(path: Path) -> str:
    """Return a path as a reader of the repository knows it."""
    return str(path.relative_to(ROOT))


def test_imports_point_one_way() -> None:
    """Each part imports what the table of edges allows it, and nothing else."""
    wrong = [
        f"{shown(path)} imports sidecar.{part}"
        for path in sources()
        for part in sorted(imported_parts(path))
        if part not in EDGES.get(part_of(path), LEAVES)
    ]
    assert wrong == []


def test_edges_have_no_circle() -> None:
    """The table itself points one way."""
    order: list[str] = []
    waiting = dict(EDGES)
    while waiting:
        ready = sorted(part for part, edges in waiting.items() if edges <= set(order))
        assert ready, f"a circle among {sorted(waiting)}"
        order += ready
        waiting = {part: edges for part, edges in waiting.items() if part not in ready}


def test_only_commands_import_the_local_platform() -> None:
    """What is for development cannot come into the sidecar that runs in production."""
    importers = {part_of(path) for path in sources() if "local_platform" in imported_parts(path)}
    assert importers <= {"cli", "demo"}


def test_pure_parts_import_no_io() -> None:
    """Values, words and protocols know no network, file, clock or log."""
    wrong = [
        f"{shown(path)} imports {module}"
        for path in sources()
        if part_of(path) in PURE
        for module in imported_modules(path)
        if module.split(".")[0] in IMPURE_MODULES
    ]
    assert wrong == []


def test_every_module_says_what_it_is_for() -> None:
    """A module that holds anything begins with a docstring."""
    silent = [
        shown(path)
        for path in sources()
        if tree_of(path).body and ast.get_docstring(tree_of(path)) is None
    ]
    assert silent == []


def files_testing(path: Path) -> list[Path]:
    """Return the test files of a source file.

    `sidecar/a/b.py` is tested by `tests/unit/a/test_b.py`, or by files that carry both names:
    `tests/unit/a/test_b_when_full.py`, `tests/properties/test_a_b.py`.
    """
    *folders, _ = path.relative_to(PACKAGE).parts
    unit = TESTS.joinpath("unit", *folders)
    name = path.stem.strip("_")
    prefixed = "_".join([*folders, name])
    return [
        *unit.glob(f"test_{name}.py"),
        *unit.glob(f"test_{name}_*.py"),
        *TESTS.joinpath("properties").glob(f"test_{prefixed}.py"),
        *TESTS.joinpath("properties").glob(f"test_{prefixed}_*.py"),
    ]


def name_of(path: Path) -> str:
    """Return a source file's name in the tables of exceptions."""
    return path.relative_to(PACKAGE).as_posix()


def test_every_source_file_has_a_test_file() -> None:
    """A source file has a test file of its name, or a reason to have none."""
    untested = [
        shown(path)
        for path in sources()
        if path.name != "__init__.py"
        and name_of(path) not in UNTESTED | TESTED_WITH
        and not files_testing(path)
    ]
    assert untested == []


def test_every_exception_is_still_needed() -> None:
    """An exception goes when the test file comes, or when one of its files goes."""
    stale = [
        name
        for name in UNTESTED | TESTED_WITH
        if not (PACKAGE / name).is_file() or files_testing(PACKAGE / name)
    ]
    stale += [name for name, tests in TESTED_WITH.items() if not (TESTS / tests).is_file()]
    assert stale == []


def test_no_file_is_too_long() -> None:
    """A module that has grown past its one job is split."""
    limits = [*((path, LONGEST_SOURCE) for path in sources())]
    limits += [(path, LONGEST_TEST) for path in sorted(TESTS.rglob("*.py"))]
    counted = [
        (shown(path), len(path.read_text(encoding="utf-8").splitlines()), limit)
        for path, limit in limits
    ]
    too_long = [f"{name}: {lines} lines" for name, lines, limit in counted if lines > limit]
    assert too_long == []


def test_only_commands_print() -> None:
    """Everything but a command speaks through the log."""
    printing = [
        f"{shown(path)}:{node.lineno}"
        for path in sources()
        if part_of(path) not in {"cli", "commands", "demo"}
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert printing == []


def test_no_module_is_shapeless() -> None:
    """A module is named for its job; these names have none."""
    files = [*sources(), *TESTS.rglob("*.py")]
    shapeless = [
        shown(path)
        for path in files
        if SHAPELESS & {path.stem, path.stem.removeprefix("test_"), path.parent.name}
    ]
    assert shapeless == []


def comments_of(path: Path) -> Iterator[tuple[int, str]]:
    """Give each comment of a module with its line."""
    with path.open("rb") as lines:
        for token in tokenize.tokenize(lines.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def test_nothing_is_left_for_later() -> None:
    """Work that is left is an issue, not a note in the code."""
    notes = [
        f"{shown(path)}:{line}"
        for path in [*sources(), *TESTS.rglob("*.py")]
        for line, comment in comments_of(path)
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", comment)
    ]
    assert notes == []


def test_test_folders_are_packages() -> None:
    """Two test files of one name in two folders need packages around them."""
    bare = [
        shown(folder)
        for folder in {path.parent for path in TESTS.rglob("*.py")}
        if not (folder / "__init__.py").is_file()
    ]
    assert bare == []
