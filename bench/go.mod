module tcp-stream-exporter/bench

go 1.26.0

require (
	github.com/gopacket/gopacket v1.7.7
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.49.0
	tcp-stream-exporter v0.0.0
)

replace tcp-stream-exporter => ../
