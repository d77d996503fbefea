#!/bin/sh
# Builds the packages and tarballs into dist/; "make packages" calls it. For each architecture:
#
#   tcp-stream-exporter          .deb, tarball      with libpcap: every filter
#   tcp-stream-exporter-static   .deb, .rpm, tarball  without libpcap, needs no shared library: filters "tcp" and empty
#
# There is no .rpm with libpcap: Debian calls the library libpcap.so.0.8, the others libpcap.so.1.
#
# Variables: ARCHES (amd64 arm64), VERSION (git describe), MAINTAINER, SOURCE_DATE_EPOCH (the commit's time), DIST (another
# folder than dist/; what is in it goes). The same
# commit gives the same bytes with the same Go, C compiler and scdoc.
set -eu
cd "$(dirname "$0")/../.."
export LC_ALL=C TZ=UTC

die() {
	echo "packages: $*" >&2
	exit 1
}

VERSION=${VERSION:-$(git describe --tags --always --dirty)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
MAINTAINER=${MAINTAINER:-tcp-stream-exporter developers <packages@example.org>}
ARCHES=${ARCHES:-amd64 arm64}
export SOURCE_DATE_EPOCH MAINTAINER

# v1.2.3-rc1 becomes 1.2.3~rc1, which sorts before 1.2.3; v1.2.3-4-gabcdef0 becomes 1.2.3+4.gabcdef0, which sorts
# behind it. Without a tag the commit's day comes first, so that a later one sorts behind.
case $VERSION in
v[0-9]*) PACKAGE_VERSION=$(echo "$VERSION" | sed -E 's/^v//; s/-dirty$/+dirty/; s/-([0-9]+)-g([0-9a-f]+)/+\1.g\2/; s/-/~/g') ;;
*) PACKAGE_VERSION=0~$(date -d "@$SOURCE_DATE_EPOCH" +%Y%m%d.%H%M%S).$(echo "$VERSION" | tr -c 'a-zA-Z0-9.\n' .) ;;
esac
export PACKAGE_VERSION

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dist=${DIST:-$PWD/dist}
rm -rf "$dist"
mkdir -p "$dist"

build() { # build OUT: the exporter by GOARCH, CGO_ENABLED and CC
	go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o "$1" .
}

# licences prints the texts of everything that is linked in, from each package's folder up to its module's.
licences() {
	goroot=$(go env GOROOT)
	[ -r "$goroot/LICENSE" ] || die "$goroot has no LICENSE: use the Go of https://go.dev/dl"
	printf 'Go standard library and runtime, %s\n\n' "$(go env GOVERSION)"
	cat "$goroot/LICENSE"
	go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}} {{$.Dir}}{{end}}{{end}}' . | sort >"$work/linked"
	while read -r path version module folder; do
		while :; do
			find "$folder" -maxdepth 1 -type f ! -name '*.go' \
				\( -iname 'licen[sc]e*' -o -iname 'copying*' -o -iname 'notice*' -o -iname 'patents*' \) -printf "$path $version $module %p\n"
			[ "$folder" != "$module" ] || break
			folder=$(dirname "$folder")
		done
	done <"$work/linked" | sort -u >"$work/texts"
	cut -d ' ' -f 1 "$work/linked" | sort -u >"$work/modules"
	without=$(cut -d ' ' -f 1 "$work/texts" | sort -u | comm -23 "$work/modules" -)
	[ -z "$without" ] || die "no licence found of" $without
	while read -r path version module file; do
		printf '\n%s\n%s %s: %s\n\n' "----------------------------------------" "$path" "$version" "${file#"$module/"}"
		cat "$file"
	done <"$work/texts"
}

# The tool, and what is the same for all packages. The program of this machine is asked for its flags.
go build -C deploy/packages -o "$work/nfpm" github.com/goreleaser/nfpm/v2/cmd/nfpm
mkdir "$work/common"
gzip -9nc CHANGELOG.md >"$work/common/changelog.gz"
CGO_ENABLED=0 build "$work/host"
go build -o "$work/manual" ./internal/cmd/manual
"$work/manual" bash "$work/host" >"$work/common/tcp-stream-exporter.bash"
"$work/manual" zsh "$work/host" >"$work/common/_tcp-stream-exporter"
"$work/manual" scd "$work/host" >"$work/page.scd"
scdoc <"$work/page.scd" >"$work/tcp-stream-exporter.1"
gzip -9nc "$work/tcp-stream-exporter.1" >"$work/common/tcp-stream-exporter.1.gz"
licences >"$work/common/third-party-licences"
cat >"$work/changelog.yaml" <<-END
	- semver: "$PACKAGE_VERSION-1"
	  date: "$(date -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)"
	  packager: "$MAINTAINER"
	  deb: {urgency: medium, distributions: [unstable]}
	  changes:
	    - note: "Build of $VERSION. The program's changes are in its own changelog."
END
{
	cat deploy/packages/nfpm.yaml
	echo "changelog: $work/changelog.yaml"
} >"$work/nfpm.yaml"

package() { # package FORMAT...: what is in $STAGE
	for format in "$@"; do
		(cd deploy/packages && "$work/nfpm" package -f "$work/nfpm.yaml" -p "$format" -t "$dist/" >"$work/said" 2>&1) || {
			cat "$work/said" >&2
			die "nfpm could not build the .$format of $PACKAGE for $ARCH"
		}
	done
}

tarball() { # tarball VARIANT
	name=tcp-stream-exporter-$PACKAGE_VERSION-linux-$ARCH-$1
	mkdir "$work/$name"
	cp "$STAGE/tcp-stream-exporter" "$STAGE/tcp-stream-exporter.bash" "$STAGE/_tcp-stream-exporter" \
		"$STAGE/third-party-licences" "$work/tcp-stream-exporter.1" LICENSE CHANGELOG.md docs/install.md docs/systemd.md \
		deploy/tcp-stream-exporter.service deploy/tcp-stream-exporter@.service deploy/tcp-stream-exporter.socket \
		deploy/tcp-stream-exporter.default deploy/packages/tcp-stream-exporter.sysusers "$work/$name"
	tar -C "$work" --format=gnu --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
		--mode=u=rwX,go=rX -cf - "$name" | gzip -9n >"$dist/$name.tar.gz"
}

# links says whether the C compiler $1 builds programs with libpcap.
links() {
	printf '#include <pcap/pcap.h>\nint main(void) { pcap_close(pcap_open_dead(1, 64)); return 0; }\n' |
		"$1" -x c -o /dev/null - -lpcap 2>/dev/null
}

own=$(go env GOHOSTARCH)
for ARCH in $ARCHES; do
	export ARCH GOARCH="$ARCH"

	export PACKAGE=tcp-stream-exporter-static OTHER=tcp-stream-exporter LIBC= LIBPCAP=
	export VARIANT='This build has no libpcap: it knows the filters "tcp" and "".'
	export STAGE="$work/$ARCH-static"
	cp -r "$work/common" "$STAGE"
	CGO_ENABLED=0 build "$STAGE/tcp-stream-exporter"
	package deb rpm
	tarball static

	case $ARCH in
	"$own") compiler=${CC:-cc} ;;
	amd64) compiler=x86_64-linux-gnu-gcc ;;
	arm64) compiler=aarch64-linux-gnu-gcc ;;
	*) compiler=none ;;
	esac
	if ! links "$compiler"; then
		[ "$ARCH" != "$own" ] || die "no C compiler with libpcap's headers: scripts/setup.sh build installs them"
		echo "packages: NOT BUILT: $ARCH with libpcap, which needs $compiler and libpcap-dev:$ARCH (dpkg --add-architecture $ARCH)" >&2
		continue
	fi
	export PACKAGE=tcp-stream-exporter OTHER=tcp-stream-exporter-static
	export VARIANT='This build has libpcap and takes every filter of pcap-filter(7).'
	export STAGE="$work/$ARCH-libpcap"
	cp -r "$work/common" "$STAGE"
	CGO_ENABLED=1 CC=$compiler build "$STAGE/tcp-stream-exporter"
	# The newest version that a symbol asks for, as dpkg-shlibdeps would find it.
	glibc=$(objdump -T "$STAGE/tcp-stream-exporter" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
	[ -n "$glibc" ] || die "objdump shows no version of glibc in the build with libpcap"
	export LIBC="libc6 (>= ${glibc#GLIBC_})" LIBPCAP='libpcap0.8 (>= 0.9.8)'
	package deb
	tarball libpcap
done

(cd "$dist" && sha256sum ./* >SHA256SUMS)
echo "packages: $dist"
cat "$dist/SHA256SUMS"
