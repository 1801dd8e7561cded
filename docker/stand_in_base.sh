#!/usr/bin/env bash
# A stand-in for python:3.11-slim-bookworm, for machines that reach Debian's packages but no image registry: a Debian
# root with python and pip where that image has them, as a tar that docker/stand_in.Dockerfile turns into an image.
# It takes this machine's certificates along, so it is for builds on this machine alone: never push what it made.
#
# Usage: sudo docker/stand_in_base.sh OUT.tar [amd64|arm64]
#   MIRROR=http://deb.debian.org/debian   where debootstrap finds packages
# arm64 on another processor takes ten minutes and needs qemu-user-static, registered in binfmt_misc with flag F:
#   mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
#   cat /usr/lib/binfmt.d/qemu-aarch64.conf > /proc/sys/fs/binfmt_misc/register
#   echo -1 > /proc/sys/fs/binfmt_misc/qemu-aarch64        # afterwards: forget it again
set -euo pipefail

out=$(realpath -m "${1:?usage: stand_in_base.sh OUT.tar [amd64|arm64]}")
arch=${2:-$(dpkg --print-architecture)}
mirror=${MIRROR:-http://deb.debian.org/debian}
root=$(mktemp -d "${TMPDIR:-/tmp}/stand-in.XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT

[[ $EUID -eq 0 ]] || { echo "debootstrap needs root: run it with sudo" >&2; exit 2; }
command -v debootstrap >/dev/null || { echo "no debootstrap here: apt-get install debootstrap" >&2; exit 2; }

foreign=()
if [[ $arch != "$(dpkg --print-architecture)" ]]; then
    foreign=(--foreign)
    [[ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]] || { echo "$arch programs do not run here: see the head of $0" >&2; exit 2; }
fi
debootstrap "${foreign[@]}" --arch="$arch" --variant=minbase --include=ca-certificates,python3,python3-pip \
    bookworm "$root" "$mirror"
if ((${#foreign[@]})); then
    chroot "$root" /debootstrap/debootstrap --second-stage
fi

ln -s /usr/bin/python3 "$root/usr/local/bin/python"
ln -s /usr/bin/python3 "$root/usr/local/bin/python3"
ln -s /usr/bin/pip3 "$root/usr/local/bin/pip"
rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/debootstrap \
    "$root"/usr/share/{doc,man,info,locale}/* "$root"/var/log/*
tar --numeric-owner --one-file-system --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -C "$root" -cf "$out.part" .
mv "$out.part" "$out"
du -h "$out"
