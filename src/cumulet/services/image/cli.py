# SPDX-License-Identifier: Apache-2.0
"""What `cumulet image` does beside building images: metadata definitions from files and into files."""

from __future__ import annotations

import argparse
from pathlib import Path

from cumulet.kernel.db import Database
from cumulet.kernel.errors import Invalid
from cumulet.kernel.vault import Vault
from cumulet.services.image.logic import definitions, metadefs_files
from cumulet.settings import Settings


def arguments(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The actions and their own arguments."""
    verbs = actions.add_parser("metadefs", help="metadata definitions from files, into files, or away").add_subparsers(
        dest="verb", metavar="VERB", required=True
    )
    load = verbs.add_parser("load", help="store the usual definitions, or those of a folder or a file")
    load.add_argument("path", nargs="?", type=Path, help="TOML or JSON, Glance's own among them (default: ours)")
    load.add_argument("--merge", action="store_true", help="add to namespaces that are there what they lack")
    load.add_argument("--prefer-new", action="store_true", help="with --merge: exchange what they have")
    load.add_argument("--overwrite", action="store_true", help="with --merge: remove them first")
    verbs.add_parser("unload", help="remove all definitions")
    export = verbs.add_parser("export", help="write all definitions, a JSON file a namespace")
    export.add_argument("path", type=Path, help="the folder")


def run(settings: Settings, db: Database, vault: Vault, words: argparse.Namespace) -> list[str]:
    """Do one action; what there is to say of it, in lines. A CumuletError where it is refused."""
    match words.verb:
        case "load":
            return [f"{name} is loaded" for name in _load(db, words)] or ["all of them are there"]
        case "unload":
            return [f"{len(metadefs_files.unload(db))} namespaces are removed"]
        case _:
            return [str(path) for path in _export(db, words.path)]


def _load(db: Database, words: argparse.Namespace) -> list[str]:
    if (words.prefer_new or words.overwrite) and not words.merge:
        raise Invalid("--prefer-new and --overwrite need --merge")
    if words.prefer_new and words.overwrite:
        raise Invalid("say --prefer-new or --overwrite")
    files = definitions.read(words.path or definitions.FOLDER)
    return metadefs_files.load(db, files, merge=words.merge, prefer_new=words.prefer_new, overwrite=words.overwrite)


def _export(db: Database, folder: Path) -> list[Path]:
    try:
        return metadefs_files.export(db, folder)
    except OSError as error:
        raise Invalid(f"the definitions cannot be written: {error}") from None
