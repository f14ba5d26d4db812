#!/bin/bash
# The abuse cases that need a machine of one's own: a core handler, controllers of cgroup v2 under systemd, a metadata
# address; and those that show more by another kernel: its calls, families of sockets, devices, sockets of systemd. Builds a guest once (make-guest.sh, about a minute on an idle machine, kept in $ASSAY_GUEST_CACHE), then runs the
# cases in it. Exit status 0 when they hold, 1 when one does not, 77 when no guest can be had here: then it says why.
#
#   tests/guest/abuse.sh BUILD_DIR [CASE…]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:?the build folder}" && pwd)
shift
cases=("$@")
[ ${#cases[@]} -gt 0 ] || cases=(F9 F12 F13 F14 F16 F20 J3 J4 J5 J6 J7 J8 J10 J11 J13 N3 N4 N5)
none() { echo "NOT SHOWN: ${cases[*]} in the guest: $*"; exit 77; }
[ "$(id -u)" = 0 ] || none "making one needs root"
for program in mmdebstrap qemu-system-x86_64 qemu-img mke2fs cpio; do
	command -v $program >/dev/null || none "$program is not installed"
done
work=$(mktemp -d "${TMPDIR:-/tmp}/assay-guest.XXXXXX")
trap 'rm -rf "$work"' EXIT
# groups.sh names the same packages, so one image serves both
image=$(timeout "${ASSAY_GUEST_BUILD_S:-300}" "$here/make-guest.sh" -p "python3 git jq iproute2 libarchive13 libcurl4 libgit2-1.5 libssl3 busybox-static" 2>"$work/log") ||
	none "it was not built within ${ASSAY_GUEST_BUILD_S:-300} s: $(tail -1 "$work/log")"
mkdir -p "$work/in/build/tests" "$work/in/tests" "$work/in/lib"
cp "$build"/assay "$build"/assay-agent "$build"/assay-worker "$work/in/build/"
cp "$build"/tests/abuse-try "$build"/tests/abuse-unfiltered "$work/in/build/tests/"
cp -r "$here/../abuse" "$work/in/tests/"
mkdir "$work/in/tests/fixtures" && cp "$here"/../fixtures/{oci-image.py,with-route} "$work/in/tests/fixtures/"
# It needs nothing but the C library, so the image need not be another one for it.
cp "$(command -v pasta)" "$work/in/pasta" || none "pasta is not installed (Debian package passt)"
ldd "$build"/assay-agent "$build"/assay-worker "$build"/tests/abuse-unfiltered | awk '/=> \//{print $3}' | sort -u |
	xargs -I{} cp -L {} "$work/in/lib/"
rm -f "$work"/in/lib/lib{c,m}.so*
status=0
"$here/run-guest.sh" -i "$image" -d "$work/in" -t "${ASSAY_GUEST_RUN_S:-900}" "$here/inside.sh" "${cases[@]}" || status=$?
[ $status != 124 ] || { echo "NOT SHOWN: what is missing above: the guest was not through within ${ASSAY_GUEST_RUN_S:-900} s"; exit 77; }
[ $status != 125 ] || none "it does not come up"
exit $status
