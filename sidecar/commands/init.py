"""`bb-sidecar init`: write a commented policy to start from."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

from sidecar.domain.errors import UserError

STARTERS: Final = ("routes", "openai", "anthropic", "gemini")
"""What a policy can be written for; the first is the default."""

_PRODUCT: Final = "my-product"  # as the starters have it
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def add_init_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `init`."""
    parser.add_argument("file", nargs="?", type=Path, default=Path("policy.yaml"), metavar="FILE")
    parser.add_argument(
        "--for",
        dest="kind",
        choices=STARTERS,
        default=STARTERS[0],
        help="the API that the product speaks (default: routes, for an API of its own)",
    )
    parser.add_argument("--product", help=f"its slug (env PRODUCT_SLUG; default: {_PRODUCT})")


def init(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Write the policy to a new file, `-` for stdout. Raises UserError where a file is there."""
    product = args.product or environ.get("PRODUCT_SLUG") or _PRODUCT
    if not _SLUG.fullmatch(product):
        raise UserError(f"--product: {product!r} is not a slug, such as acme-notes")
    text = starter(args.kind, product)
    if str(args.file) == "-":
        sys.stdout.write(text)
        return 0
    try:
        with args.file.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        fix = "name a new file, or remove it"
        raise UserError(f"init: {args.file} exists already: {fix}") from error
    except OSError as error:
        fix = "name a file in a folder that can be written"
        raise UserError(f"init: {args.file}: {error.strerror}: {fix}") from error
    sys.stdout.write(f"{args.file} written: edit its routes, then `bb-sidecar check {args.file}`\n")
    return 0


def starter(kind: str, product: str = _PRODUCT) -> str:
    """Return the text of a policy: the head that all share, and what is of this kind."""
    folder = files("sidecar.commands") / "starters"
    parts = ((folder / f"{name}.yaml").read_text("utf-8") for name in ("head", kind))
    return "".join(parts).replace(_PRODUCT, product)
