#!/bin/sh
# Records real traffic anew: the kernel's own TCP between two network namespaces, which are removed
# at the end. As root, with iperf3, curl, dumpcap, editcap, ip and nft:
#
#   sh internal/recorded/record.sh
#
# It writes ethernet.pcap (IPv4, IPv6, loss, a reset), the same as ethernet.pcapng, and
# cooked.pcap (the device "any") beside itself. Only the first bytes of each frame are kept.
set -eu
cd "$(dirname "$0")"
a=recorded-$$-a b=recorded-$$-b
trap 'kill $(jobs -p) 2>/dev/null || true; sleep 0.3; ip netns del $a; ip netns del $b' EXIT
ip netns add $a
ip netns add $b
ip -n $a link add veth0 type veth peer name veth0 netns $b
end() { # end NAMESPACE HOST
	ip -n "$1" link set lo up
	ip -n "$1" addr add "10.99.0.$2/24" dev veth0
	ip -n "$1" addr add "2001:db8::$2/64" dev veth0 nodad
	ip -n "$1" link set veth0 up
}
end $a 1
end $b 2
ip netns exec $b iperf3 -s >/dev/null &
record() { # record FILE INTERFACE
	ip netns exec $b dumpcap -q -P -s 118 -i "$2" -w "$1" 2>/dev/null &
	recorder=$!
	sleep 1
}
stop() {
	sleep 0.5
	kill -INT $recorder
	wait $recorder || true
}
send() { ip netns exec $a iperf3 -n 30K -l 10K "$@" >/dev/null; }

record ethernet.pcap veth0
send -c 10.99.0.2
send -6 -c 2001:db8::2
send -c 10.99.0.2 -R
ip netns exec $a curl -s http://10.99.0.2:9/ || true # a closed port answers with a reset
ip netns exec $b nft add table ip loss
ip netns exec $b nft 'add chain ip loss in { type filter hook input priority 0; }'
ip netns exec $b nft 'add rule ip loss in tcp dport 5201 ip length > 500 numgen inc mod 4 == 1 drop'
ip netns exec $a ethtool -K veth0 tso off gso off >/dev/null
send -c 10.99.0.2
ip netns exec $b nft delete table ip loss
stop

record cooked.pcap any
send -c 10.99.0.2
ip netns exec $b ping -q -c 2 127.0.0.1 >/dev/null 2>&1 || true
stop
editcap -F pcapng ethernet.pcap ethernet.pcapng
