"""The rules of the house that no linter knows: who may import whom, and what each file must be.

A rule fails with the list of all that break it. A new part of the package is entered in `EDGES`
with what it may import, in the same commit; until then it may import `domain` and nothing may
import it.
"""

from __future__ import annotations

import ast
import re
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
PACKAGE: Final = ROOT / "sidecar"
TESTS: Final = ROOT / "tests"

COMMANDS: Final = frozenset({"cli", "commands", "demo", "local_platform", "__main__"})

EDGES: Final[dict[str, frozenset[str]]] = {
    # values, protocols, errors: what everything may import
    "domain": frozenset(),
    "http1": frozenset({"domain"}),  # knows no sidecar: of the domain, only its errors
    "settings": frozenset({"domain"}),
    # the core
    "policy": frozenset({"domain"}),
    "admission": frozenset({"domain", "policy"}),
    # the one writer of answers
    "answers": frozenset({"domain", "http1"}),
    # adapters: never the engine, never each other
    "identity": frozenset({"domain", "http1"}),
    "platform": frozenset({"domain", "http1"}),
    "usage": frozenset({"domain", "policy"}),  # reads answers; policy: the reader of JSON
    "events": frozenset({"domain", "settings"}),
    "notices": frozenset({"domain"}),
    "storage": frozenset({"domain", "settings"}),
    "telemetry": frozenset({"domain"}),
    # frontends: what asks the engine
    "proxy": frozenset({"domain", "answers", "admission", "http1", "settings", "usage"}),
    "admin": frozenset({"domain", "answers", "http1", "settings"}),
    # the typed client of the whole platform, for products and commands
    "client": frozenset({"domain", "http1", "settings"}),
    # doors beside the proxy, for servers that are not ours; proxy: its bodies' memory, its drain
    "frontends": frozenset({"domain", "answers", "http1", "policy", "proxy", "settings", "usage"}),
    # a process of its own: the admission webhook
    "inject": frozenset({"domain", "http1"}),
    # for development and tests alone
    "local_platform": frozenset({"domain", "policy"}),  # policy: YAML with its lines
}
EDGES["app"] = frozenset(EDGES) - {
    "frontends",
    "inject",
    "local_platform",
}  # wires all of them together
EDGES["workers"] = frozenset({"admin", "app", "domain", "http1", "policy", "settings", "telemetry"})
EDGES["commands"] = frozenset(
    {"admission", "app", "client", "domain", "events", "frontends", "http1", "identity", "inject"}
    | {"policy", "proxy", "settings", "telemetry", "usage", "workers"}
)
EDGES["demo"] = frozenset(
    {"app", "domain", "local_platform", "middleware", "settings", "telemetry"}
)
EDGES["middleware"] = frozenset({"app", "domain", "frontends", "policy", "settings", "telemetry"})
EDGES["cli"] = frozenset(EDGES)
EDGES["__main__"] = frozenset({"cli"})

PURE: Final = frozenset({"domain", "answers", "usage"})
IMPURE_FILES: Final = frozenset({"domain/stalls.py", "domain/turns.py"})  # they look at a clock
IMPURE_MODULES: Final = frozenset(
    {"aiohttp", "asyncio", "logging", "os", "socket", "sqlite3", "time", "uvloop"}
)

UNTESTED: Final = {
    "inject/words.py": "names without behaviour",
    "__init__.py": "the version, which packaging reads",
    "domain/choices.py": "names without behaviour",
    "domain/credentials.py": "values without behaviour",
    "domain/deliveries.py": "names without behaviour",
    "domain/errors.py": "classes without behaviour",
    "domain/holds.py": "values without behaviour",
    "domain/ports.py": "protocols without behaviour",
    "domain/usage.py": "values without behaviour",
    "frontends/asgi_types.py": "names without behaviour",
    "frontends/opening.py": "protocols without behaviour",
    "proxy/listener.py": "a protocol without behaviour",
    "proxy/ports.py": "protocols without behaviour",
    "usage/realtime/commands.py": "values without behaviour",
    "usage/realtime/frame_parts.py": "values without behaviour",
    "client/results.py": "values without behaviour",
    "commands/uses.py": "a table without behaviour",
}
"""Source files that need no test file of their own, and why; a package's `__init__` is one too."""

TESTED_WITH: Final = {
    # Settings of commands and their handlers show what they do only when the command runs.
    "settings/commands.py": "unit/commands/test_access.py",
    "commands/explanation.py": "unit/commands/test_explain.py",
    "commands/inject.py": "kubernetes/test_webhook.py",
    # A part of the policy's model shows what it does where a whole policy is loaded.
    "policy/amount_schema.py": "unit/policy/test_load.py",
    # The steps of a walk show what they find only in a whole one.
    "policy/json_walk.py": "unit/policy/test_json_reader.py",
    # What a scrape gives is what the verbs have counted.
    "telemetry/samples.py": "unit/telemetry/test_metrics.py",
    # The parts of the client show what they do at its own methods.
    "client/calls.py": "unit/client/test_client.py",
    "client/members.py": "unit/client/test_reading.py",
    # Wiring shows what it does only when it runs.
    "app/embedded.py": "unit/middleware/test_doors.py",
    "frontends/handle.py": "doors/test_frameworks.py",
    "app/side_jobs.py": "e2e/test_webhooks.py",
    "demo/fastapi_product.py": "unit/demo/test_metered.py",
    "app/context.py": "unit/app/test_wiring.py",
    "app/engine.py": "unit/app/test_wiring.py",
    # Phases and records of the engine have no behaviour apart from it.
    "admission/attempt_claims.py": "unit/admission/test_shared_keys.py",
    "admission/findings.py": "unit/admission/test_engine.py",
    "admission/idempotency.py": "unit/admission/test_keys.py",
    "admission/journal_entries.py": "unit/admission/test_journal.py",
    "admission/journal_frames.py": "unit/admission/test_journal_file.py",
    "admission/journal_records.py": "unit/admission/test_journal_damage.py",
    "admission/moment.py": "unit/admission/test_ledger.py",
    "admission/payments.py": "unit/admission/test_engine.py",
    "admission/verdict.py": "unit/admission/test_engine.py",
    # What a deadline does shows on a connection that waits for it.
    "proxy/expiry.py": "unit/proxy/test_connection.py",
}
"""Source files that are tested in another's test file, grouped under the reason for it."""

MOST_PARTS: Final = 26
MOST_LAYERS: Final = 8
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
        if part not in EDGES.get(part_of(path), frozenset({"domain"}))
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


def layers_of(edges: dict[str, set[str]]) -> list[list[str]]:
    """Sort into layers, each of which imports only those before it; fail on a circle."""
    layers: list[list[str]] = []
    waiting = dict(edges)
    while waiting:
        below = {name for layer in layers for name in layer}
        ready = sorted(name for name, imports in waiting.items() if imports <= below)
        assert ready, f"a circle among {sorted(waiting)}"
        layers.append(ready)
        waiting = {name: imports for name, imports in waiting.items() if name not in ready}
    return layers


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Also under `TYPE_CHECKING`, and within functions: no circle at all."""
    paths = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sources()}
    names = {name.removesuffix(".__init__"): path for path, name in paths.items()}
    edges: dict[str, set[str]] = {}
    for name, path in names.items():
        found = set()
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        edges[name] = (found & set(names)) - {name}
        if path.name == "__init__.py":  # a package's front is above what is in it
            continue
        edges[name] -= {parent for parent in names if name.startswith(f"{parent}.")}
    layers_of(edges)


def test_the_package_is_few_parts_in_few_layers() -> None:
    """What a newcomer has to hold in mind: the first level is the glossary."""
    parts = {part_of(path) for path in sources()} - {"__init__", "__main__"}
    edges: dict[str, set[str]] = {part: set() for part in parts}
    for path in sources():
        if part_of(path) in parts:
            edges[part_of(path)] |= imported_parts(path) & parts
    assert len(parts) <= MOST_PARTS
    assert len(layers_of(edges)) <= MOST_LAYERS


def test_only_commands_import_the_local_platform() -> None:
    """What is for development cannot come into the sidecar that runs in production."""
    importers = {part_of(path) for path in sources() if "local_platform" in imported_parts(path)}
    assert importers <= {"cli", "demo"}


def test_pure_parts_import_no_io() -> None:
    """Values, words and protocols know no network, file, clock or log."""
    wrong = [
        f"{shown(path)} imports {module}"
        for path in sources()
        if part_of(path) in PURE and name_of(path) not in IMPURE_FILES
        for module in imported_modules(path)
        if module.split(".")[0] in IMPURE_MODULES
    ]
    assert wrong == []


def types_of(path: Path) -> Iterator[str]:
    """Give the public classes of a module, and its names for types: `Slot = tuple[str, str]`."""
    for node in tree_of(path).body:
        if isinstance(node, ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [each.id for each in node.targets if isinstance(each, ast.Name)]
        else:
            continue
        yield from (name for name in names if name[0].isupper() and not name.isupper())


def test_no_two_types_share_a_name() -> None:
    """One word is one thing: a name that two parts have says in neither what it is."""
    places: dict[str, list[str]] = {}
    for path in sources():
        for name in types_of(path):
            places.setdefault(name, []).append(shown(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


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


def compiled_sources() -> list[Path]:
    """Return the modules that the compiled build compiles."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    mypyc = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]
    found = {path for pattern in mypyc["include"] for path in ROOT.glob(pattern)}
    return sorted(found - {path for pattern in mypyc["exclude"] for path in ROOT.glob(pattern)})


def test_nothing_compiled_waits_while_it_handles_an_exception() -> None:
    """Such an exception would become the context of every later one: mypyc never ends it."""
    waits = (ast.Await, ast.Yield, ast.YieldFrom, ast.AsyncFor, ast.AsyncWith)
    assert compiled_sources()
    handling = [
        (path, statement)
        for path in compiled_sources()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Try)
        for statement in [*node.handlers, *node.finalbody]
    ]
    assert [
        f"{shown(path)}:{each.lineno}"
        for path, statement in handling
        for each in ast.walk(statement)
        if isinstance(each, waits)
    ] == []


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
