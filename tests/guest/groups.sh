#!/bin/bash
# The agent under the unit of the package, as its own user, in the guest. Control groups as systemd delegates them: its jobs have
# whole limits, which also hold across a restart and a kill -9, and no group is left. Ids that the unit lends it: images have their
# users. Exit status 77 when no guest can be had.
#
#   tests/guest/groups.sh BUILD_DIR
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:?the build folder}" && pwd)
none() { echo "NOT SHOWN: control groups in the guest: $*"; exit 77; }
[ "$(id -u)" = 0 ] || none "making one needs root"
for program in mmdebstrap qemu-system-x86_64 qemu-img mke2fs cpio; do
	command -v $program >/dev/null || none "$program is not installed"
done
work=$(mktemp -d "${TMPDIR:-/tmp}/assay-guest.XXXXXX")
trap 'rm -rf "$work"' EXIT
# abuse.sh names the same packages, so one image serves both
image=$(timeout "${ASSAY_GUEST_BUILD_S:-300}" "$here/make-guest.sh" -p "python3 git jq iproute2 libarchive13 libcurl4 libgit2-1.5 libssl3 busybox-static" 2>"$work/log") ||
	none "it was not built within ${ASSAY_GUEST_BUILD_S:-300} s: $(tail -1 "$work/log")"
mkdir -p "$work/in/bin" "$work/in/lib"
cp "$build"/assay "$build"/assay-agent "$build"/assay-worker "$work/in/bin/"
cp "$here/../fixtures/oci-image.py" "$work/in/"
sed 's|@ASSAY_BIN@|/opt/assay/assay|; s|@ASSAY_WORKER@|/opt/assay/assay-worker|' "$here/../../packaging/systemd/assay.service.in" >"$work/in/assay.service"
ldd "$build"/assay-agent "$build"/assay-worker | awk '/=> \//{print $3}' | sort -u | xargs -I{} cp -L {} "$work/in/lib/"
# what is loaded with its first use
for name in libgit2 libcurl libarchive libssh2; do
	ldconfig -p | awk -v n="$name" 'index($1, n ".so.") == 1 {print $NF}' | head -1 | xargs -r -I{} sh -c \
		'cp -L {} "$0"; ldd {} | awk "/=> \\//{print \$3}" | xargs -I[] cp -Ln [] "$0"' "$work/in/lib/"
done
rm -f "$work"/in/lib/lib{c,m}.so*
status=0
"$here/run-guest.sh" -i "$image" -d "$work/in" -t "${ASSAY_GUEST_RUN_S:-450}" "$here/groups_inside.sh" || status=$?
[ $status != 125 ] || none "it does not come up"
exit $status
