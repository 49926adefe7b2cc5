"""What each command does: a plan of actions, its carrying out, one outcome. The command line only renders them."""

from gdkreg.verbs.machine import down, reconfigure, undo, up
from gdkreg.verbs.root import open_root
from gdkreg.verbs.running import restart, start, stop

__all__ = ["down", "open_root", "reconfigure", "restart", "start", "stop", "undo", "up"]
