#!/bin/sh
# Installs what building or testing needs and the machine lacks; "make" calls it.
#
#   scripts/setup.sh check    installs nothing: names what building lacks and the command that installs it
#   scripts/setup.sh build    C compiler, make, libpcap with its headers
#   scripts/setup.sh test     the same, and the tools that tests run
#   scripts/setup.sh browser  what building needs, and a browser for the tests of the page
#   scripts/setup.sh uml      what building needs, and a kernel that runs as a program, with the tools of its tests
#   scripts/setup.sh packages what building needs, and the tools that make packages
#   scripts/setup.sh test-packages  the tools that install and check packages
#
# It looks for the things themselves (a program, a header that compiles and links), not for packages.
# Nothing missing: it prints nothing and changes nothing. Packages come from apt-get; elsewhere the
# script names what to install by hand. Services that come along are neither started nor enabled.
# CGO_ENABLED=0 (a build without libpcap) needs no C compiler and no libpcap.

set -eu

# Tools of the administrator are looked for also where a user's PATH leaves them out.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/go/bin
export PATH

die() {
	echo "setup: $*" >&2
	exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# links says whether a C program that uses libpcap builds.
links() {
	printf '#include <pcap/pcap.h>\nint main(void) { pcap_close(pcap_open_dead(1, 64)); return 0; }\n' |
		"${CC:-cc}" -x c -o /dev/null - -lpcap 2>/dev/null
}

packages='' # Debian packages to install
missing=''  # the same in the words of what was looked for

want() { # want WHAT PACKAGE...
	missing="$missing${missing:+, }$1"
	shift
	packages="$packages $*"
}

tool() { # tool PROGRAM PACKAGE
	have "$1" || want "$1" "$2"
}

check_build() {
	have go || die "the go command is missing: install Go 1.26 or newer (https://go.dev/dl) to /usr/local/go or the PATH"
	tool make make
	[ "${CGO_ENABLED:-1}" != 0 ] || return 0
	have "${CC:-cc}" || want "a C compiler" gcc libc6-dev
	links || want "libpcap with its headers" libpcap-dev libc6-dev
}

check_test() {
	check_build
	tool ip iproute2
	tool nft nftables
	tool ethtool ethtool
	tool tshark tshark
	tool tcpdump tcpdump
	tool tcpreplay tcpreplay
	tool iperf3 iperf3
	tool wrk wrk
	tool curl curl
	tool prometheus prometheus
	tool ps procps
	tool nsenter util-linux
	tool wg wireguard-tools
	tool wireguard-go wireguard-go
	tool systemd-analyze systemd
}

check_browser() {
	check_build
	tool chromium-headless-shell chromium-headless-shell
}

check_uml() {
	check_build
	tool linux.uml user-mode-linux
	tool modprobe kmod
	tool ip iproute2
	tool tc iproute2
	tool ethtool ethtool
	tool pppd ppp
	tool pppoe-server pppoe
}

check_packages() {
	check_build
	tool scdoc scdoc
	tool objdump binutils
}

check_test_packages() {
	check_packages
	tool debootstrap debootstrap
	tool lintian lintian
	tool rpm rpm
	tool rpmlint rpmlint
	tool systemd-nspawn systemd-container
	tool qemu-aarch64 qemu-user
	tool zsh zsh
	tool man man-db
	tool setpriv util-linux
	tool nsenter util-linux
	tool ip iproute2
}

# Debian starts and enables a service when its package is first installed. While apt-get runs,
# policy-rc.d (invoke-rc.d(8)) denies every start; the one that was there before is put back after.
policy=/usr/sbin/policy-rc.d
saved=$policy.before-setup

deny_starts() {
	if [ -e $policy ] && [ ! -e $saved ]; then # $saved exists: an earlier run was killed, it is the original
		mv $policy $saved
	fi
	trap allow_starts EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	printf '#!/bin/sh\n# Written by %s, removed when it ends: no service starts meanwhile.\nexit 101\n' "$0" >$policy
	chmod 755 $policy
}

allow_starts() {
	rm -f $policy
	if [ -e $saved ]; then
		mv $saved $policy
	fi
}

# The packages above with a service that would start with the machine. One that is installed
# already is somebody's choice and stays as it is.
services=''

remember_services() {
	for s in prometheus iperf3; do
		case " $packages " in
		*" $s "*) services="$services $s" ;;
		esac
	done
}

disable_services() {
	for s in $services; do
		if have systemctl; then
			systemctl --quiet disable "$s.service" >/dev/null 2>&1 || true
		fi
		if [ -e "/etc/init.d/$s" ] && have update-rc.d; then
			update-rc.d "$s" disable >/dev/null 2>&1 || true
		fi
		if [ -n "$(find /etc/systemd/system -path "*.wants/$s.service" 2>/dev/null)" ]; then
			echo "setup: $s.service is enabled: systemctl disable $s.service turns it off" >&2
		fi
	done
}

# install PACKAGE...: installs from the lists at hand; if that fails, brings the lists up to date and
# tries again, twice, because mirrors are sometimes busy.
install() {
	DEBIAN_FRONTEND=noninteractive
	export DEBIAN_FRONTEND
	if have debconf-set-selections; then # tshark's question: capture for users that are not root? No.
		echo 'wireshark-common wireshark-common/install-setuid boolean false' | debconf-set-selections
	fi
	for pause in 0 2 10; do
		if [ $pause != 0 ]; then
			echo "setup: that failed; once more with fresh package lists"
			sleep $pause
			apt-get update -q || continue
		fi
		apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" && return 0
	done
	return 1
}

case ${1-} in
check)
	check_build
	[ -z "$packages" ] || die "missing: $missing. Install it with: apt-get install$packages (elsewhere what Debian calls so), or let $0 build do it"
	exit 0
	;;
build | test | browser | uml | packages | test-packages) purpose=$1 ;;
*) die "usage: $0 check|build|test|browser|uml|packages|test-packages" ;;
esac

check=check_$(echo "$purpose" | tr - _)
"$check"
[ -n "$packages" ] || exit 0

have apt-get || die "missing: $missing. Only apt-get is known here; with this system's package manager install what Debian calls$packages"
[ "$(id -u)" = 0 ] || die "missing: $missing. Run: sudo $0 $purpose"

echo "setup: missing: $missing"
echo "setup: apt-get installs$packages; their services are neither started nor enabled"
remember_services
deny_starts
# shellcheck disable=SC2086 # one word a package
install $packages </dev/null || die "apt-get could not install$packages: its messages above say why"
disable_services

packages='' missing=''
"$check"
[ -z "$packages" ] || die "still missing after the installation: $missing"
