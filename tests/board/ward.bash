# Sourced by the scripts beside it: a ward of made-up people for an emulated device, and the real platform it reports to.
# `fail`, $work (an empty folder) and $repo are the caller's.

# One camera, one bed, with what hospital IT would have prepared, in FOLDER, which the device knows as /srv/ward.
ward() { # FOLDER
    rm -rf "$1"
    mkdir -p "$1/people"
    cp -r "$repo/assets/people/p01" "$repo/assets/people/p02" "$1/people/"
    cp -r "$repo/assets/ward/cam-1" "$repo/assets/ward/empty" "$1/"
    head -n 2 "$repo/assets/roster/ward-3a.csv" | sed 's|\.\./people/|people/|' >"$1/roster.csv"
    # Zones are drawn in a browser; here they and the emulator's patience are written beside.
    cat >"$1/emulated.toml" <<'C'
[patrol]
every = "120s"
check_within = "100s"
looks = 2
look_spacing = "1s"
# An emulated processor brings no five pictures a second: life is left to real boards.
[liveness]
mode = "off"
[[bed]]
id = "01"
camera = "cam-1"
zone = { x = 20, y = 30, width = 600, height = 660 }
C
    chmod -R u=rwX,go=rX "$1"
}

# The answers to `bedcheck setup`, as a person types them, the token last.
answers() {
    printf 'pilot\n\nnone\n3A\n/srv/ward/roster.csv\n医院党委会议定\n2026-11-01\n医务处\n'
    printf 'cam-1\nrecorded\n/srv/ward/cam-1\nbed\n/srv/ward/empty/cam-1.jpg\nn\n'
    cat "$work/token"
    echo
}

until_true() { # SECONDS WHAT COMMAND...
    local tries=$(($1 * 2)) what=$2
    shift 2
    until "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail "$what"
        sleep 0.5
    done
}

# This machine's own programs, built where they are not: sets $platform, $native and $platform_id, writes $work/token.
start_platform() { # HOST, as the device knows this machine
    local profile=debug
    [ ! -x "$repo/target/release/bedcheck-platform" ] || profile=release
    [ -x "$repo/target/$profile/bedcheck-platform" ] || cargo build --locked
    platform=$repo/target/$profile/bedcheck-platform native=$repo/target/$profile/bedcheck
    "$platform" init --dir "$work/platform" --host "$1" >/dev/null
    "$platform" serve --dir "$work/platform" --devices 127.0.0.1:0 --enrol 127.0.0.1:0 --dashboard 127.0.0.1:0 >"$work/platform.log" 2>&1 &
    platform_id=$!
    until_true 60 "the platform does not start: $(tail -n 2 "$work/platform.log" 2>/dev/null)" test -s "$work/platform/addresses.json"
    "$platform" device token --dir "$work/platform" --device terminal-3a --ward 3A --institution 示范医院 --round-every 2m --plain \
        --url "https://$1:$(port devices)" --enrol-url "https://$1:$(port enrol)" >"$work/token"
}
port() { sed -n "s|.*\"$1\":\"https://127.0.0.1:\([0-9]*\)\".*|\1|p" "$work/platform/addresses.json"; }
# A line each: bed and verdict.
checks() { rows 'SELECT bed, verdict FROM done'; }
rows() { python3 -c "import sqlite3, sys
for row in sqlite3.connect(f'file:{sys.argv[1]}/platform/platform.db?mode=ro', uri=True).execute(sys.argv[2]): print(*row)" "$work" "$1"; }
