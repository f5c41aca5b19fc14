#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A layer includes only from itself and from those above it; a library only where it is wrapped. check_layers.sh
set -eu
cd "$(dirname "$0")/../src"

order='base policy inventory compose verdict ruleset kernel engine twin store api doctor audit'
programs='daemon cli'

# "header: the layers that may include it"
libraries='
jansson.h: base policy compose engine api doctor audit daemon cli
yaml.h: policy
sqlite3.h: store
uv.h: engine api daemon
curl/: engine
bpf/: kernel
libmnl/: kernel
libnftnl/: kernel
libnetfilter_conntrack/: kernel
libnetfilter_log/: kernel
seccomp.h: daemon
cap-ng.h: daemon
linux/landlock.h: daemon
linux/netfilter/nf_tables.h: ruleset kernel
linux/netfilter/nfnetlink: kernel
linux/netlink.h: kernel
linux/pkt_cls.h: kernel
linux/rtnetlink.h: kernel
'

bad=0
above=
for layer in $order $programs; do
	[ -d "$layer" ] || continue
	case " $programs " in
	*" $layer "*) allowed="$layer $order" ;;
	*) allowed="$layer $above" ;;
	esac
	above="$above $layer"
	for file in "$layer"/*.[ch]; do
		# shellcheck disable=SC2013
		for other in $(sed -n 's|^#[[:space:]]*include "\([^"]*\)".*|\1|p' "$file"); do
			case " $allowed " in
			*" ${other%%/*} "*) ;;
			*)
				echo "src/$file includes \"$other\": $layer may use only: $allowed" >&2
				bad=1
				;;
			esac
		done
		# shellcheck disable=SC2013
		for header in $(sed -n 's|^#[[:space:]]*include <\([^>]*\)>.*|\1|p' "$file"); do
			layers=$(echo "$libraries" | while IFS=: read -r prefix layers; do
				case $header in
				"${prefix:-none}"*) echo "$layers" ;;
				esac
			done)
			[ -n "$layers" ] || continue
			case " $layers " in
			*" $layer "*) ;;
			*)
				echo "src/$file includes <$header>: that is for:$layers" >&2
				bad=1
				;;
			esac
		done
	done
done
for layer in */; do
	case " $order $programs " in
	*" ${layer%/} "*) ;;
	*)
		echo "src/$layer is in no place of the order" >&2
		bad=1
		;;
	esac
done
exit $bad
