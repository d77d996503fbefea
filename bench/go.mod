module tcp-stream-exporter/bench

go 1.26.0

require (
	golang.org/x/sys v0.49.0
	tcp-stream-exporter v0.0.0
)

replace tcp-stream-exporter => ../
