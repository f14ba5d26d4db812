#!/bin/bash
# The Debian package: built from the build folder, then looked at as dpkg, systemd, man and the shell will. Nothing is installed.
. "$(dirname "$0")/lib.sh"
build=${ASSAY_BUILD_DIR:?set ASSAY_BUILD_DIR to the build folder}
root=$work/root
cpack -G DEB --config "$build/CPackConfig.cmake" -B "$work/cpack" >"$work/cpack.log" 2>&1 || { tail -20 "$work/cpack.log"; die "cpack failed"; }
deb=$(echo "$work"/cpack/*.deb)
[ -f "$deb" ] || die "cpack made no package"
! grep -i 'warning' "$work/cpack.log" || die "cpack warns"
check "cpack builds $(basename "$deb"), $(stat -c %s "$deb") bytes"
dpkg-deb -x "$deb" "$root"
dpkg-deb -e "$deb" "$work/control"

# What is in it.
while read -r mode path; do
	[ -f "$root$path" ] || die "$path is not in the package"
	expect "$path is $mode" "$mode" "$(stat -c %a "$root$path")"
done <<'FILES'
755 /usr/bin/assay
755 /usr/libexec/assay/assay-agent
755 /usr/libexec/assay/assay-language
755 /usr/libexec/assay/assay-worker
644 /etc/assay/assay.yml
644 /usr/lib/systemd/system/assay.service
644 /usr/lib/sysusers.d/assay.conf
644 /usr/lib/tmpfiles.d/assay.conf
644 /usr/share/man/man1/assay.1
644 /usr/share/man/man5/assay.yml.5
644 /usr/share/man/man8/assay-serve.8
644 /usr/share/bash-completion/completions/assay
644 /usr/share/doc/assay/LICENSE
644 /usr/share/doc/assay/README.md
644 /usr/share/doc/assay/examples/hello.yml
FILES
expect "all of it belongs to root" "root/root" "$(dpkg-deb -c "$deb" | awk '{print $2}' | sort -u)"
expect "nobody else may write" "" "$(find "$root" ! -type l -perm /022)"
expect "no program takes another user's rights" "" "$(find "$root" -perm /6000)"
expect "nothing else is in it" "" "$(cd "$root" && find . -type f | grep -Ev '^\./(etc/assay/assay\.yml|usr/bin/assay|usr/libexec/assay/assay-(agent|language|worker)|usr/lib/(systemd/system/assay\.service|sysusers\.d/assay\.conf|tmpfiles\.d/assay\.conf)|usr/share/(man|doc/assay|bash-completion)/.*)$' || :)"
expect "no left-overs of a build" "" "$(cd "$root" && find . \( -name '__pycache__' -o -name '*.pyc' -o -name '*.o' -o -name '*~' \))"
expect "the configuration is kept at an upgrade" /etc/assay/assay.yml "$(cat "$work/control/conffiles")"
for program in "$root/usr/bin/assay" "$root/usr/libexec/assay/assay-agent" "$root/usr/libexec/assay/assay-language" "$root/usr/libexec/assay/assay-worker"; do
	name=$(basename "$program")
	for folder in "$top" "$build"; do
		! strings -a "$program" | grep -F "$folder/" || die "$name knows the folder it was built in"
	done
	check "$name does not know where it was built"
	file "$program" | grep >/dev/null 'pie executable.*stripped' || die "$name is not a stripped PIE: $(file "$program")"
	readelf -d "$program" | grep >/dev/null BIND_NOW || die "$name is not bound at its start"
	! readelf -d "$program" | grep -E 'R(UN)?PATH' || die "$name has a path of libraries"
	readelf -lW "$program" | grep GNU_STACK | grep >/dev/null ' RW ' || die "$name has an executable stack"
	check "$name is stripped, a PIE, bound at its start, without an executable stack"
done

# What it says of itself.
for field in Package Version Architecture Maintainer Description Depends Section; do
	[ -n "$(dpkg-deb -f "$deb" $field)" ] || die "the control file has no $field"
done
expect "its version is the program's" "assay $(dpkg-deb -f "$deb" Version)" "$("$root/usr/bin/assay" version)"
grep -q 'libc6 (>= ' <<<"$(dpkg-deb -f "$deb" Depends)" || die "its dependencies were not worked out: $(dpkg-deb -f "$deb" Depends)"
apt-get install -s --no-install-recommends "$deb" >"$work/apt" 2>&1 || { cat "$work/apt"; die "its dependencies cannot be met"; }
check "its dependencies can be met"
(cd "$root" && md5sum -c --quiet "$work/control/md5sums") || die "its checksums do not fit"
for script in postinst prerm postrm; do
	[ -x "$work/control/$script" ] || die "$script cannot be run"
	sh -n "$work/control/$script" || die "$script is no shell script"
	grep -q '^set -e' "$work/control/$script" || die "$script goes on after a failure"
done
check "its scripts are shell scripts that stop at a failure"

# As systemd will read it: the unit with its programs and pages, the user, the folders.
mkdir "$work/units"
sed "s#^\(Exec[A-Za-z]*=[-+!@:|]*\)/usr/#\1$root/usr/#" "$root/usr/lib/systemd/system/assay.service" >"$work/units/assay.service"
expect "the unit starts what the package holds" "$root/usr/bin/assay" "$(sed -n 's/^ExecStart=\([^ ]*\).*/\1/p' "$work/units/assay.service")"
expect "systemd finds nothing wrong with the unit" "" "$(MANPATH=$root/usr/share/man systemd-analyze verify "$work/units/assay.service" 2>&1 | grep -v "Unknown key.*DelegateSubgroup" || :)" # of 254
expect "the unit leaves jobs alone" process "$(sed -n 's/^KillMode=//p' "$work/units/assay.service")"
systemd-sysusers --dry-run --root="$root" assay.conf >"$work/sysusers" 2>&1 || { cat "$work/sysusers"; die "sysusers refuses the user"; }
check "the user can be made"
if [ "$(id -u)" = 0 ]; then
	systemd-sysusers --root="$root" assay.conf 2>"$work/sysusers" || { cat "$work/sysusers"; die "sysusers did not make the user"; }
	user=$(awk -F: '$1=="assay"{print $3":"$4}' "$root/etc/passwd")
	expect "it cannot sign in" /usr/sbin/nologin "$(awk -F: '$1=="assay"{print $7}' "$root/etc/passwd")"
	expect "tmpfiles has nothing to say" "" "$(systemd-tmpfiles --root="$root" --create assay.conf 2>&1)"
	for folder in var/lib/assay run/assay; do
		expect "/$folder is the user's alone" "$user 750" "$(stat -c '%u:%g %a' "$root/$folder")"
	done
fi

# As people will: pages, completion, the programs where the package puts them.
for page in "$root"/usr/share/man/man?/*; do
	expect "$(basename "$page") has no warning" "" "$(LC_ALL=C.UTF-8 MANROFFSEQ='' man --warnings -E UTF-8 -l "$page" 2>&1 >/dev/null)"
	lexgrog "$page" >/dev/null || die "$(basename "$page") has no NAME that apropos can find"
	! grep -q '@[A-Z_]*@' "$page" || die "$(basename "$page") has an unfilled place"
done
LC_ALL=C.UTF-8 man -E UTF-8 -l "$root/usr/share/man/man1/assay.1" 2>/dev/null | grep >/dev/null 'assay gate approve' || die "assay(1) does not list the commands"
check "assay(1) lists the commands"
complete_words() { # WORDS…: what bash offers for the last
	PATH=$root/usr/bin:$PATH bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _assay; echo "${COMPREPLY[*]}"' \
		"$root/usr/share/bash-completion/completions/assay" "$@"
}
expect "completion knows the nouns" "gate" "$(complete_words assay ga)"
expect "and their verbs" "approve" "$(complete_words assay gate ap)"
expect "and their options" "--override --evidence" "$(complete_words assay gate approve --o; )$(complete_words assay gate approve --e | sed 's/^/ /')"
unset ASSAY_WORKER
"$root/usr/bin/assay" validate "$root/usr/share/doc/assay/examples/hello.yml" >"$work/validate" 2>&1 || { cat "$work/validate"; die "the packaged assay does not find its worker"; }
check "assay finds its worker in libexec"
ASSAY=$root/usr/bin/assay agent_start --config "$root/etc/assay/assay.yml"
expect "the agent starts with the packaged configuration" 200 "$(curl -sS --noproxy '*' -o /dev/null -w '%{http_code}' "$url/healthz")"
