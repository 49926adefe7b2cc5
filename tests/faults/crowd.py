"""Ten commands at once, many rounds: every answer is a sentence, and no user or setting is lost."""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path

from tests.e2e.box import Box
from tests.faults.points import GDK_YML

_ANY = [
    ["reconfigure", "--yes"],
    ["up", "--yes"],
    ["start"],
    ["stop"],
    ["restart"],
    ["status"],
    ["doctor"],
    ["trust-docker-registry", "--yes"],
    ["trust-docker-registry", "--remove", "--yes"],
    ["cert", "renew", "--yes"],
    ["undo", "--yes"],
    ["down", "--yes"],
    ["plan"],
]


def round_(box: Box, number: int, chance: random.Random) -> list[str]:
    """Ten commands at once; what is wrong with their answers."""
    users = [f"u{number}-{at}" for at in range(3)]
    commands = [["user", "add", name, "--admin", "--password-stdin"] for name in users]
    days = chance.randrange(31, 800)
    commands.append(["config", "set", "registry.certificate_days", str(days)])
    commands += chance.choices(_ANY, k=6)
    running = [
        (command, box.popen("sh", "-c", 'echo secret | "$0" -B -m gdkreg "$@"', sys.executable, *command)) for command in commands
    ]
    wrong = []
    for command, process in running:
        text, _ = process.communicate(timeout=120)
        strange = any(word in text for word in ("Traceback", "bug in gdkreg", "Exception", "RuntimeError"))
        if process.returncode not in {0, 1, 2} or strange:
            wrong.append(f"{' '.join(command)}: exit {process.returncode}: {text[-400:]}")
    listed = {row["name"] for row in json.loads(box.gdkreg("user", "list", "--json").out)["users"]}
    wrong += [f"user {name} is lost" for name in users if name not in listed]
    if box.gdkreg("config", "get", "registry.certificate_days").out.strip() != str(days):
        wrong.append("the setting is lost")
    for name in users:
        box.gdkreg("user", "remove", name)
    return wrong


def play(rounds: int) -> list[str]:
    chance, wrong = random.Random(1), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        box = Box(Path(folder) / "box", engine=False)
        try:
            box.configure(GDK_YML)
            before = box.hosts.read_bytes()
            for number in range(rounds):
                wrong += [f"round {number}: {text}" for text in round_(box, number, chance)]
            box.gdkreg("down", "--yes", "--keep-edits")
            if box.hosts.read_bytes() != before or "172.16.123.1" in box.addresses():
                wrong.append("the machine is not given back")
        finally:
            box.close()
    return wrong


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    wrong = play(rounds)
    print(f"{rounds} rounds of ten commands, {len(wrong)} wrong", *wrong, sep="\n  ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
