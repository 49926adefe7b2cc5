"""A GDK-shaped root: what GDK's own commands do to runit's folders, in a shell script, in both ways that GDK does it.

`procfile`: every command renders `sv/` and links each service of the Procfile anew, the registry's too. `services`: newer GDKs
have no Procfile; what is enabled is linked, which the registry need not be, and whatever stands in `services` is driven.
"""

from __future__ import annotations

from typing import Literal

from tests.e2e.box import Box

Way = Literal["procfile", "services"]
# What GDK's registry would be here: a program that says so and stays.
_SERVE = "#!/bin/sh\nexec 2>&1\necho own registry of gdk\nexec sleep 1000\n"
_LOG = "#!/bin/sh\nexec svlogd -tt ROOT/log/NAME\n"
_GDK = r"""#!/bin/sh
# gdk start|stop|restart|status [service]
cd "$(dirname "$0")/.." || exit 1
ROOT=$PWD
names="@NAMES@"
for name in $names; do
  mkdir -p "sv/$name/log" "log/$name" services
  printf '%s' '@SERVE@' >"sv/$name/run"
  printf '%s' '@LOG@' | sed "s|ROOT|$ROOT|; s|NAME|$name|" >"sv/$name/log/run"
  : >"sv/$name/down"
  chmod 755 "sv/$name/run" "sv/$name/log/run"
  printf 'p%s : \n' "$name" >"log/$name/config"
  ln -sf "$ROOT/sv/$name" "services/$name"
done
for link in services/*; do
  [ -h "$link" ] || continue
  case " $names " in *" ${link#services/} "*) ;; *) rm "$link" ;; esac
done
if ! pgrep -f "runsvdir -P $ROOT/services" >/dev/null; then
  (cd / && exec setsid runsvdir -P "$ROOT/services" "log: ........" </dev/null >>"$ROOT/runsvdir.log" 2>&1) &
fi
verb=$1
shift
[ $# != 0 ] || set -- $(ls services)
places=
for name; do
  for _ in $(seq 100); do sv status "$ROOT/services/$name" | grep -qE '^(run|down|finish)' && break; sleep 0.1; done
  places="$places $ROOT/services/$name"
done
exec sv -w 20 "$verb" $places
"""


def make(box: Box, way: Way) -> None:
    """The root, with a service beside the registry."""
    names = "redis registry" if way == "procfile" else "redis"
    text = _GDK.replace("@NAMES@", names).replace("@SERVE@", _SERVE).replace("@LOG@", _LOG)
    (box.root / "bin").mkdir()
    (box.root / "lib").mkdir()
    (box.root / "lib/gdk.rb").write_text("# a GDK\n")
    if way == "procfile":
        (box.root / "Procfile").write_text("redis: exec redis\nregistry: exec registry\n")
    gdk = box.root / "bin/gdk"
    gdk.write_text(text)
    gdk.chmod(0o755)


def gdk(box: Box, *words: str, ok: bool = True) -> str:
    """A command of GDK's; what it says."""
    done = box.run(str(box.root / "bin/gdk"), *words)
    assert done.code == 0 or not ok, done
    return done.out + done.err


def log(box: Box) -> str:
    path = box.root / "log/registry/current"
    return path.read_text() if path.exists() else ""
