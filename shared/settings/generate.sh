#!/bin/sh
# Asks PostgreSQL itself what settings it has: one pg<major>.csv for each server found, beside this script.
#
#   generate.sh [ROOT]      ROOT: a file system with /usr/lib/postgresql/<major>/bin (default: this machine's)
#
# All five majors are in the file system of the test image; see docs/local-cluster.md:
#
#   mkdir /tmp/root
#   for part in root-filesystem more-versions; do tar -xf CACHE/image-work/$part.tar -C /tmp/root; done
#   shared/settings/generate.sh /tmp/root
#
# Needs root, because a server refuses to run as root and becomes `postgres` (or `nobody`), in ROOT by chroot. A server
# is started in single-user mode: no port, no socket, nothing that could meet another server.
#
# Columns: name, type, unit, least, most, words (as pg_settings shows them), also (words PostgreSQL takes but does not
# show, found by trying), boot (the value of a setting that needs a restart where nobody asks for one; not of texts),
# context. A list of words is separated by `|`.
set -eu

root=${1:-/}
here=$(cd "$(dirname "$0")" && pwd)
# Words that an enum may take without showing them.
candidates='on off true false yes no 1 0 debug debug5 debug4 debug3 debug2 debug1 info notice warning error log fatal
panic archive hot_standby'

in_root() {
    if chroot "$root" id postgres >/dev/null 2>&1; then user=postgres; else user=nobody; fi
    chroot "$root" /usr/bin/setpriv --reuid="$user" --regid="$(chroot "$root" id -g "$user")" --clear-groups \
        env LC_ALL=C PATH=/usr/bin:/bin LD_LIBRARY_PATH="${inside%/bin}/lib" "$@"
}

# What a build may leave out, but Debian's and Spilo's have: name and the word to add.
with_build_options() {
    awk -F, -v OFS=, '
        function add(word) { if (("|" $6 "|") !~ ("[|]" word "[|]")) $6 = $6 "|" word }
        $1 == "default_toast_compression" { add("lz4") }
        $1 == "wal_compression" && $2 == "enum" { add("lz4"); add("zstd") }
        $1 == "io_method" { add("io_uring") }
        { print }'
}

[ -c "$root/dev/null" ] || mknod -m 0666 "$root/dev/null" c 1 3
for bin in "$root"/usr/lib/postgresql/*/bin; do
    inside=${bin#"$root"}
    inside=/${inside#/}
    major=$(basename "$(dirname "$bin")")
    # /var/tmp: a root file system may have no usable /tmp.
    work=$(mktemp -d "$root/var/tmp/settings.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    chmod 0777 "$work"
    data=/var/tmp/$(basename "$work")/data
    in_root "$inside/initdb" -D "$data" -A trust --no-sync >"$work/initdb.log" 2>&1 || {
        cat "$work/initdb.log" >&2
        exit 1
    }
    single() { in_root "$inside/postgres" --single -D "$data" "$@" template1; }

    # Every candidate for every enum: what is refused is named in an error.
    echo "COPY (SELECT name FROM pg_settings WHERE vartype = 'enum' AND context <> 'internal') TO '$data/enums'" |
        single >/dev/null 2>&1
    while read -r name; do
        for word in $candidates; do echo "ALTER SYSTEM SET \"$name\" = '$word'"; done
    done <"$work/data/enums" >"$work/trials"
    single -c lc_messages=C <"$work/trials" >/dev/null 2>"$work/answers" || true
    sed -n 's/.*invalid value for parameter "\([^"]*\)": "\([^"]*\)".*/\1 \2/p' "$work/answers" >"$work/refused"
    sed -n 's/.*parameter "\([^"]*\)" cannot be changed.*/\1 */p' "$work/answers" >>"$work/refused"
    while read -r name; do
        for word in $candidates; do
            grep -qxF -e "$name $word" -e "$name *" "$work/refused" || echo "$name,$word"
        done
    done <"$work/data/enums" >"$work/data/taken"
    : >"$work/data/postgresql.auto.conf"
    chmod 0644 "$work/data/taken"

    single >"$work/log" 2>&1 <<SQL
CREATE TEMP TABLE taken (setting text, word text)
COPY taken FROM '$data/taken' CSV
COPY (SELECT name, vartype, unit, min_val, max_val, array_to_string(enumvals, '|'), (SELECT string_agg(word, '|' ORDER BY word COLLATE "C") FROM taken WHERE setting = name AND word <> ALL (enumvals)), CASE WHEN context = 'postmaster' AND vartype <> 'string' THEN boot_val END, context FROM pg_settings ORDER BY name COLLATE "C") TO '$data/settings' CSV
SQL
    [ -s "$work/data/settings" ] || { cat "$work/log" >&2; exit 1; }
    {
        echo "# PostgreSQL $major, by generate.sh: name,type,unit,least,most,words,also,boot,context"
        with_build_options <"$work/data/settings"
    } >"$here/pg$major.csv"
    echo "pg$major.csv: $(grep -vc '^#' "$here/pg$major.csv") settings of $(in_root "$inside/postgres" --version)"
    rm -rf "$work"
    trap - EXIT
done
