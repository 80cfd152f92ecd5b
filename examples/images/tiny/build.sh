#!/bin/sh
# Builds the tiny guest's disk from Debian packages, without root: build.sh OUT
# Kernel and boot loader are unpacked, not installed; busybox, depmod, cpio, sfdisk, mtools, syslinux and qemu-img are the host's.
# Leaves OUT/disk.qcow2 and OUT/disk.raw: an MBR disk with one FAT partition that boots by BIOS and by UEFI.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && out=$(cd "$1" && pwd)
work=$(mktemp -d "$out/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
export LC_ALL=C MTOOLS_SKIP_CHECK=1 PATH="$PATH:/usr/sbin:/sbin"

# The kernel made for virtual machines: Debian's name, then Ubuntu's. Its packages are what the meta package depends on.
kernel_packages() {
  for meta in linux-image-cloud-amd64 linux-image-virtual; do
    apt-cache depends --no-recommends --no-suggests "$meta" 2>/dev/null |
      sed -n 's/^ *Depends: \(linux-\(image\|modules\)-[0-9].*\)$/\1/p' >"$work/packages"
    [ -s "$work/packages" ] || continue
    image=$(grep -m1 '^linux-image-' "$work/packages")
    apt-cache depends --no-recommends --no-suggests "$image" 2>/dev/null |
      sed -n 's/^ *Depends: \(linux-modules-[0-9].*\)$/\1/p' >>"$work/packages"
    sort -u "$work/packages"
    return
  done
  echo 'build.sh: no kernel package for virtual machines; is "apt-get update" needed?' >&2
  return 1
}

mkdir "$work/unpacked"
packages=$(kernel_packages)
(cd "$work" && apt-get -q download $packages systemd-boot-efi qemu-guest-agent)
for file in "$work"/*.deb; do dpkg -x "$file" "$work/unpacked"; done

kernel=$(ls "$work"/unpacked/boot/vmlinuz-* | head -n 1)
version=${kernel##*/vmlinuz-}
modules="$work/unpacked/lib/modules/$version"
[ -d "$modules" ] || modules="$work/unpacked/usr/lib/modules/$version"
find "$modules" -name '*.ko.xz' -exec xz -d {} + -o -name '*.ko.zst' -exec zstd -q -d --rm {} +
depmod -b "${modules%/lib/modules/*}" "$version"

# The guest's root: our files, busybox under all its names, and the modules named in etc/modules with what they need.
root="$work/root"
cp -r "$here/rootfs" "$root"
for dir in bin dev proc sys tmp run root mnt; do mkdir -p "$root/$dir"; done
cp /bin/busybox "$root/bin/busybox"
for applet in $(busybox --list); do
  [ -e "$root/bin/$applet" ] || [ -e "$root/sbin/$applet" ] || ln -s busybox "$root/bin/$applet"
done
for module in $(cat "$root/etc/modules"); do
  # A line of modules.dep: the module's file, a colon, the files it needs.
  awk -F': *' -v want="$module" '
    { name = $1; sub(/.*\//, "", name); sub(/\.ko$/, "", name); gsub(/-/, "_", name) }
    name == want { print $1; n = split($2, needs, " "); for (i = 1; i <= n; i++) print needs[i]; exit }' "$modules/modules.dep"
done | sort -u | while read -r file; do
  mkdir -p "$root/lib/modules/$version/$(dirname "$file")"
  cp "$modules/$file" "$root/lib/modules/$version/$file"
done
cp "$modules/modules.builtin" "$modules/modules.order" "$root/lib/modules/$version/"
depmod -b "$root" "$version"
chmod 755 "$root/init" "$root/sbin"/* "$root/etc/tiny"/* "$root/www/cgi-bin"/* "$root/usr/share/tiny"/* "$root/usr/share/udhcpc"/*
(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -9n) >"$work/initrd.gz"

# The disk. Syslinux boots it by BIOS, systemd-boot by UEFI; both take the one kernel.
disk="$out/disk.raw"
size=32
rm -f "$disk" && truncate -s "${size}M" "$disk"
printf 'label: dos\nlabel-id: 0x74696e79\nstart=2048, type=ef, bootable\n' | sfdisk -q "$disk"
dd if=/usr/lib/syslinux/mbr/mbr.bin of="$disk" conv=notrunc bs=440 count=1 status=none
mkfs.vfat -F 16 -i 74696e79 -n TINY --offset 2048 "$disk" $(((size - 1) * 1024)) >/dev/null
cmdline='console=tty0 console=ttyS0,115200 quiet panic=-1 random.trust_cpu=on mitigations=off'
printf 'SERIAL 0 115200\nDEFAULT tiny\nLABEL tiny\n KERNEL vmlinuz\n INITRD initrd.gz\n APPEND %s\n' "$cmdline" >"$work/syslinux.cfg"
printf 'timeout 0\n' >"$work/loader.conf"
printf 'title tiny\nlinux /vmlinuz\ninitrd /initrd.gz\noptions %s\n' "$cmdline" >"$work/tiny.conf"
cp "$kernel" "$work/vmlinuz"
mmd -i "$disk@@1M" ::EFI ::EFI/BOOT ::loader ::loader/entries
mcopy -i "$disk@@1M" "$work/vmlinuz" "$work/initrd.gz" "$work/syslinux.cfg" ::
mcopy -i "$disk@@1M" "$work/unpacked/usr/lib/systemd/boot/efi/systemd-bootx64.efi" ::EFI/BOOT/BOOTX64.EFI
mcopy -i "$disk@@1M" "$work/loader.conf" ::loader/
mcopy -i "$disk@@1M" "$work/tiny.conf" ::loader/entries/
# The guest agent is Debian's own, with its libraries. On the disk it takes no memory before it runs, and little then.
mkdir "$work/agent"
agent="$work/unpacked/usr/sbin/qemu-ga"
for file in "$agent" $(ldd "$agent" | grep -o '/[^ ]*'); do cp -L "$file" "$work/agent/"; done
mcopy -s -i "$disk@@1M" "$work/agent" ::
syslinux -t 1048576 -i "$disk"
qemu-img convert -q -f raw -O qcow2 "$disk" "$out/disk.qcow2"
