"""How many one-digit edits of a rendered report does `verify` catch?

    python benchmarks/verify_edits.py outputs/tr121 [--edits 200] [--notebook FILE]

The report is derived once from its raw file; then one digit of the Markdown page at a time, at a seeded
random place, is changed into another digit, and the pages are compared. Exits 1 where more than one edit in
200 goes unseen.
"""

import argparse
from pathlib import Path
import random
import shutil
from tempfile import TemporaryDirectory

from llmresearch.reporting import verify

SEED = 20


def caught(folder, derived, edits, seed=SEED):
    """How many of `edits` one-digit edits of the Markdown page are found; works on a copy."""
    chance = random.Random(seed)
    with TemporaryDirectory() as elsewhere:
        copy = Path(elsewhere) / folder.name
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("raw"))
        for suffix in (".md", ".html"):
            shutil.copy(folder.parent / f"{folder.name.upper()}{suffix}", elsewhere)
        page = Path(elsewhere) / f"{folder.name.upper()}.md"
        text = page.read_text()
        return sum(_found(page, edited(text, chance), copy, derived) for _ in range(edits))


def edited(text, chance):
    """The text with one digit changed into another."""
    place = chance.choice([i for i, letter in enumerate(text) if letter in "0123456789"])
    digit = chance.choice([d for d in "0123456789" if d != text[place]])
    return text[:place] + digit + text[place + 1 :]


def _found(page, text, folder, derived):
    page.write_text(text)
    return any(difference.file == page.name for difference in verify.compare(folder, derived))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--notebook")
    given = parser.parse_args()
    folder = given.folder.resolve()
    with TemporaryDirectory() as elsewhere:
        derived = verify.derive(folder, elsewhere, given.notebook)
        untouched = verify.compare(folder, derived)
        found = caught(folder, derived, given.edits)
    print(
        f"{folder.name}: untouched report: {len(untouched)} differences; "
        f"one-digit edits caught: {found} of {given.edits}"
    )
    raise SystemExit(bool(untouched) or found < given.edits * 199 / 200)


if __name__ == "__main__":
    main()
