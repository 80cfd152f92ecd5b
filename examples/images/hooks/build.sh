#!/bin/sh
# Builds the root of the hooks image from Debian packages, without root: build.sh OUT
# Python, gRPC and what they need are unpacked, not installed; the messages' code is made by the unpacked protoc.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && out=$(cd "$1" && pwd)
work=$(mktemp -d "$out/build.XXXXXX")
trap 'rm -rf "$work"' EXIT

closure() {
  apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$@" |
    grep '^[a-z]' | sort -u | while read -r package; do
    # Names of what other packages provide can be depended on, not downloaded.
    apt-cache show "$package" >/dev/null 2>&1 && echo "$package"
  done
}

# What Debian's scripts of install time need does not run here.
unneeded='^(dpkg|tar|install-info|perl|perl-.*|libperl.*|mailcap|mime-support|gcc-.*-base|readline-common)$'
packages=$(closure python3-grpcio python3-protobuf | grep -Ev "$unneeded")
mkdir "$work/debs" "$work/tools" "$out/root"
(cd "$work/debs" && apt-get -q download $packages)
for file in "$work"/debs/*.deb; do dpkg -x "$file" "$out/root"; done
rm -f "$work"/debs/*
(cd "$work/debs" && apt-get -q download protobuf-compiler $(closure protobuf-compiler | grep '^libproto'))
for file in "$work"/debs/*.deb; do dpkg -x "$file" "$work/tools"; done

mkdir "$out/root/hooks"
cp "$here"/*.py "$out/root/hooks/"
libraries=$(dirname "$(find "$work/tools/usr/lib" -name 'libprotoc.so.*' | head -n 1)")
for proto in "$here"/../../../plugins/*/proto/*.proto; do
  LD_LIBRARY_PATH="$libraries" "$work/tools/usr/bin/protoc" -I "$(dirname "$proto")" --python_out="$out/root/hooks" "$proto"
done

cd "$out/root"
rm -rf usr/share usr/sbin sbin usr/lib/*/perl* usr/lib/*/gconv var etc
find . -depth \( -name test -o -name tests -o -name idlelib -o -name lib2to3 -o -name ensurepip -o -name __pycache__ \) -exec rm -rf {} +
# Python finds its modules by the short names too, which fit into a tar header.
find . -name '*.cpython-*.so' | while read -r module; do mv "$module" "${module%%.cpython-*}.so"; done
