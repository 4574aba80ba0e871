# Sourced after debian.bash and ward.bash by the scripts beside it: a whole emulated machine, with Debian's kernel and a disk
# made of a folder, at whose serial console commands are typed. `say` is the caller's.
board=$boards/board-$arch linux=$boards/linux-$arch
mkdir -p "$board"

work=$(mktemp -d) platform_id="" machine_id="" boots=0
cleanup() {
    [ -z "$machine_id" ] || kill -9 "$machine_id" 2>/dev/null || true
    [ -z "$platform_id" ] || kill "$platform_id" 2>/dev/null || true
    wait 2>/dev/null || true
    unregister
    rm -rf "$work"
}
trap cleanup EXIT

need() { # PACKAGE COMMAND... which works where the package is there
    local package=$1
    shift
    "$@" >/dev/null 2>&1 && return
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$package"; } >/dev/null 2>&1 || skip "apt-get install $package"
}
need e2fsprogs command -v mkfs.ext4
need kmod command -v depmod
need cpio command -v cpio

# Debian's kernel, and busybox with the drivers that find the disk. Sets $version.
kernel() {
    if [ ! -f "$linux/.complete" ]; then
        rm -rf "$linux"
        fetch $suite "$arch" "$linux" "linux-image-$arch" busybox-static || skip "Debian's kernel cannot be had"
        local package
        package=$(dpkg-deb -f "$boards/apt-$suite-$arch"/debs/linux-image-*.deb Depends | grep -o '^[^ ]*')
        fetch $suite "$arch" "$linux" "$package" || skip "Debian's kernel cannot be had"
        touch "$linux/.complete"
    fi
    version=$(ls "$linux/lib/modules")
    depmod -b "$linux" "$version"
    local early=$work/early number=100 module
    mkdir -p "$early"/{bin,modules,proc,sys,dev,root}
    cp "$linux/bin/busybox" "$early/bin/"
    for module in $(modules virtio_pci virtio_blk ext4); do
        cp "$module" "$early/modules/$((number++)).ko"
    done
    cat >"$early/init" <<'I'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*.ko; do /bin/busybox insmod "$module"; done
until [ -b /dev/vda ]; do /bin/busybox sleep 1; done
/bin/busybox mount -t ext4 /dev/vda /root
exec /bin/busybox switch_root /root /lib/systemd/systemd
I
    chmod +x "$early/init"
    (cd "$early" && find . | cpio -o -H newc --quiet | gzip -1) >"$board/early.gz"
}
modules() { # NAME... with what they stand on, in the order of loading
    local name
    for name in "$@"; do
        modprobe -d "$linux" -S "$version" --show-depends "$name" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
    done | awk '!seen[$0]++'
}

# What an installer adds to a clean Debian: drivers, a network in which this machine is platform.board, and root at CONSOLE.
furnish() { # FOLDER CONSOLE MODULE...
    local image=$1 console=$2 module units=$1/etc/systemd/system
    shift 2
    for module in $(modules "$@"); do
        install -D -m 644 "$module" "$image/${module#"$linux/"}"
    done
    cp "$linux/lib/modules/$version"/modules.{order,builtin,builtin.modinfo} "$image/lib/modules/$version/"
    depmod -b "$image" "$version"
    printf '127.0.0.1 localhost\n10.0.2.2 platform.board\n' >"$image/etc/hosts"
    printf '[Match]\nName=e*\n[Network]\nDHCP=ipv4\n' >"$image/etc/systemd/network/wired.network"
    mkdir -p "$image/etc/modprobe.d" "$units/multi-user.target.wants"
    ln -s /lib/systemd/system/systemd-networkd.service ../typist.service "$units/multi-user.target.wants/"
    ln -s /dev/null "$units/serial-getty@$console.service"
    cat >"$units/typist.service" <<U
[Unit]
Description=Root at the serial console
[Service]
ExecStart=/bin/sh -c 'stty -echo -onlcr; echo "[ready]"; exec sh'
Environment=LANG=C.UTF-8 PS1=
StandardInput=tty-force
StandardOutput=tty
StandardError=tty
TTYPath=/dev/$console
U
}
disk() { # FOLDER SIZE: the folder becomes the machine's disk
    rm -f "$board/disk"
    mkfs.ext4 -q -F -d "$1" "$board/disk" "$2" >/dev/null
    rm -rf "$1"
}

# What `power_on` starts: QEMU with all that is this board's own.
board_of() { # COMMAND...
    emulator_of_board=("$@")
    : >"$board/console"
    mkfifo "$work/keys"
    exec 3<>"$work/keys"
}
power_on() {
    "${emulator_of_board[@]}" -kernel "$linux/boot/vmlinuz-$version" -initrd "$board/early.gz" \
        -append "console=ttyAMA0 console=ttyS0 quiet loglevel=1 systemd.show_status=0 panic=0" \
        -drive "file=$board/disk,if=none,id=disk,format=raw,cache=writeback" -device virtio-blk-pci,drive=disk \
        -netdev user,id=net -device virtio-net-pci,netdev=net,romfile= <"$work/keys" >>"$board/console" 2>"$board/qemu" &
    machine_id=$!
    came_up
}
power_off() { kill -9 "$machine_id" && wait "$machine_id" 2>/dev/null || true; }
came_up() {
    boots=$((boots + 1))
    until_true 600 "the board does not start" is_up
}
is_lit() { kill -0 "$machine_id" 2>/dev/null || fail "the board went out: $(tail -n 3 "$board/qemu")"; }
is_up() { is_lit && [ "$(grep -ac '^\[ready\]' "$board/console")" -ge $boots ]; }

# Types a command and prints what it answers; fails where it does.
type_in() { # SECONDS COMMAND
    echo "$2" >>"$work/typed"
    local number
    number=$(wc -l <"$work/typed")
    printf 'echo "[%s"; ( %s ) 2>&1; echo "%s:$?]"\n' "$number" "$2" "$number" >&3
    until_true "$1" "no answer to «$2»" answered "$number"
    tr -d '\r' <"$board/console" | sed -n "/^\[$number\$/,/^$number:[0-9]*\]\$/p" | sed '1d;$d' >"$work/answer"
    cat "$work/answer"
    grep -aq "^$number:0\]" "$board/console" || fail "«$2» ends with an error: $(tail -n 12 "$work/answer")"
}
answered() { is_lit && grep -aq "^$1:[0-9]*\]" "$board/console"; }
must() { # SECONDS WHAT COMMAND, which shows that WHAT is so
    type_in "$1" "$3" >/dev/null
    say "$2"
}
