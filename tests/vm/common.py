# What the scripts of the tests have in common; it is put before each of them.
import json
from typing import Any

SITE = "/etc/custodian/site.toml"


def ask(machine: Any, command: str) -> Any:
    """What a command of custodian's answers in JSON."""
    return json.loads(machine.succeed(f"custodian {command} --json"))


def prepare(machine: Any) -> None:
    """Gives the empty disk to custodian, and puts the site in force."""
    machine.wait_for_unit("multi-user.target")
    facts = ask(machine, f"disk facts virtio-footage --site {SITE}")
    machine.succeed(f"custodian disk init virtio-footage --site {SITE} --token {facts['init']['token']}")
    machine.succeed(f"custodian apply --site {SITE} --recorder a")


def records(machine: Any, frames: int = 30) -> None:
    """Waits until more has been recorded than there was."""
    before = frames_of(machine)
    machine.wait_until_succeeds("systemctl is-active custodian-record.service")

    def more(_last_try: bool) -> bool:
        return frames_of(machine) >= before + frames

    retry(more)


def frames_of(machine: Any) -> int:
    """Pictures in the index; none, as long as there is no index."""
    status, text = machine.execute("custodian segments --json")
    return sum(s["frames"] for s in json.loads(text)) if status == 0 else 0
