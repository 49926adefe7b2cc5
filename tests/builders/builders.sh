#!/usr/bin/env bash
# For the end-to-end tests of docker buildx, into the folder $1: the plugin docker-buildx, and buildkitd and buildctl, which
# Debian ships as source only. They come from its release 13, whatever release runs here; nothing on the machine is changed.
set -euo pipefail
release=trixie
mkdir -p "$1"
out=$(cd "$1" && pwd)
[ -e "$out/.built" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sort -u | head -1)
[ -n "$mirror" ] || { echo "builders: apt knows no mirror of Debian" >&2; exit 1; }
keys=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$work"/{lists,state,archives,deb,root}
touch "$work/state/status"
printf "deb$( [ -r $keys ] && echo " [signed-by=$keys]") %s $release main\n" "$mirror" | sed 'p; s/^deb /deb-src /' >"$work/sources"
cat >"$work/apt.conf" <<CONF
Dir::State "$work/state"; Dir::State::lists "$work/lists"; Dir::State::status "$work/state/status";
Dir::Cache "$work"; Dir::Etc::sourcelist "$work/sources"; Dir::Etc::sourceparts "/dev/null"; APT::Sandbox::User "root";
CONF
export APT_CONFIG="$work/apt.conf"
apt-get update -qq

echo "building BuildKit from Debian's source"
cd "$work/deb"
go_packages=$(apt-get build-dep --simulate docker.io | awk '/^Inst golang/ { print $2 }')
# shellcheck disable=SC2086  # a list
apt-get download -qq docker-buildx $go_packages
for package in *.deb; do dpkg-deb --extract "$package" "$work/root"; done
cd "$work"
apt-get source -qq --print-uris docker.io | tr -d "'" | while read -r address file _ hash; do
  case $file in *.tar.xz) /usr/lib/apt/apt-helper -qq download-file "$address" "$file" "$hash" ;; esac
done
engine=$work/go/src/github.com/docker/docker buildkit=$work/go/src/github.com/moby
mkdir -p "$engine" "$buildkit" "$work/go/src/github.com/docker" debian
tar -xJf docker.io_*.orig-buildkit.tar.xz
tar -xJf docker.io_*.orig-cli.tar.xz
tar -xJf docker.io_*dfsg*.orig.tar.xz --strip-components=2 --wildcards '*/engine'
tar -xJf docker.io_*.debian.tar.xz
for patch in $(grep '^buildkit-\|^grpc-' debian/patches/series); do patch -p1 -s -f <"debian/patches/$patch" || true; done
mv buildkit "$buildkit/" && rm -rf "$engine" && mv engine "$engine" && mv cli "$work/go/src/github.com/docker/cli"

cd "$buildkit/buildkit"
env -u GOFLAGS GOROOT="$(echo "$work"/root/usr/lib/go-1.*)" GOPATH="$work/go:$work/root/usr/share/gocode" GOCACHE="$work/cache" \
  GO111MODULE=off GOPROXY=off CGO_ENABLED=0 "$work"/root/usr/lib/go-1.*/bin/go build -trimpath -o "$out/" ./cmd/buildkitd ./cmd/buildctl
cp "$work/root/usr/libexec/docker/cli-plugins/docker-buildx" "$out/"
touch "$out/.built"
