# Sourced by the tests of emulated devices, which say $arch: a clean Debian of it under target/boards, and what runs its
# programs here. `fail` and `skip` are the caller's.
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
boards=$repo/target/boards
mkdir -p "$boards"

# Packages of a Debian, unpacked and not installed.
fetch() { # SUITE ARCH FOLDER PACKAGE...
    local suite=$1 arch=$2 folder=$3 state=$boards/apt-$1-$2
    shift 3
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$folder"
    rm -rf "$state/debs" && mkdir "$state/debs"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" >"$state/list"
    : >"$state/status"
    local private=(-o "Dir::Etc::SourceList=$state/list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$state/lists" -o "Dir::State::status=$state/status"
        -o "Dir::Cache=$state/cache" -o "APT::Architecture=$arch" -o "APT::Architectures=$arch" -o APT::Sandbox::User=root)
    apt-get "${private[@]}" update -q >/dev/null || return 1
    (cd "$state/debs" && apt-get "${private[@]}" download -q "$@" >/dev/null) || return 1
    local package
    for package in "$state"/debs/*.deb; do dpkg -x "$package" "$folder"; done
}

# What binfmt_misc knows an architecture's programs by (ELF's class and machine), its emulator, and the Debian taken for it.
# Debian 12's qemu-user does not run ONNX Runtime (CPU detection); Debian 13's does.
suite=bookworm included=systemd,systemd-sysv,udev
case ${arch:=arm64} in
amd64) cpu=x86_64 ;;
arm64) cpu=aarch64 class='\x02' elf='\xb7' ;;
armhf) cpu=arm class='\x01' elf='\x28' suite=trixie included=$included,libonnxruntime1.21,libre2-11 ;;
esac
root=$boards/root-$arch emulator=$boards/qemu/usr/bin/qemu-$cpu binfmt=/proc/sys/fs/binfmt_misc/bedcheck-test-$cpu

# Foreign programs run by themselves until `unregister`.
register() {
    [ "$arch" != "$(dpkg --print-architecture)" ] || return 0
    [ -x "$emulator" ] || fetch trixie amd64 "$boards/qemu" qemu-user || skip "Debian 13's qemu-user cannot be had"
    [ -e "${binfmt%/*}/register" ] || mount -t binfmt_misc none "${binfmt%/*}" || skip "foreign programs cannot be registered here"
    local magic="\x7f\x45\x4c\x46$class\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00$elf\x00"
    local mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    [ -e "$binfmt" ] || printf ':%s:M::%s:%s:%s:F' "${binfmt##*/}" "$magic" "$mask" "$emulator" >"${binfmt%/*}/register"
}
unregister() { [ ! -e "$binfmt" ] || echo -1 >"$binfmt"; }

# The clean Debian in $root, made once; foreign programs must be registered.
debian() {
    [ ! -f "$root/.complete" ] || return 0
    command -v debootstrap >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends debootstrap >/dev/null
    rm -rf "$root"
    debootstrap --arch="$arch" --foreign --variant=minbase --include="$included" "$suite" "$root" >"$root.log"
    chroot "$root" /debootstrap/debootstrap --second-stage >>"$root.log" || fail "debootstrap: $(tail -n 3 "$root.log")"
    # What an installer writes and debootstrap does not.
    echo "127.0.0.1 localhost" >"$root/etc/hosts"
    touch "$root/.complete"
}
