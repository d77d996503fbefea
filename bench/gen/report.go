package gen

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Counts holds exact counts of what was sent. Packets is the sum of the eight kinds from SYN to Forged.
type Counts struct {
	Packets      uint64 `json:"packets"`
	PayloadBytes uint64 `json:"payload_bytes"` // TCP payload of Data
	WireBytes    uint64 `json:"wire_bytes"`    // whole frames, without preamble and checksum

	SYN    uint64 `json:"syn"`
	SYNACK uint64 `json:"synack"`
	Data   uint64 `json:"data"` // segments with payload; they carry an ACK too
	ACK    uint64 `json:"ack"`  // segments with nothing but an ACK
	FIN    uint64 `json:"fin"`  // both sides' FIN, ACK
	RST    uint64 `json:"rst"`
	Flood  uint64 `json:"flood"` // SYNs of the flood, not in SYN
	Forged uint64 `json:"forged"`

	Opened uint64 `json:"connections_opened"` // handshakes done, or joined in mid-stream
	Closed uint64 `json:"connections_closed"` // by the last ACK behind two FINs, or by RST
}

// Report holds the outcome of a run.
type Report struct {
	Counts
	Seconds       float64 `json:"seconds"` // from the first packet to the last
	PPS           float64 `json:"pps"`
	UserSeconds   float64 `json:"user_seconds"`   // CPU time of the sending thread; the kernel's
	SystemSeconds float64 `json:"system_seconds"` // includes what it does there for the receiving end
	Retries       uint64  `json:"retries"`        // sends that were refused for want of room (ENOBUFS, EAGAIN) and repeated
	Unsent        uint64  `json:"unsent"`         // counted above but not sent, because of the error that ended the run
}

// Line returns all figures as key=value on one line, with the keys of the JSON form.
func (r Report) Line() string {
	var b strings.Builder
	appendFields(&b, reflect.ValueOf(r))
	return b.String()[1:] // without the first space
}

func appendFields(b *strings.Builder, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		switch f.Kind() {
		case reflect.Struct:
			appendFields(b, f)
			continue
		case reflect.Float64:
			fmt.Fprintf(b, " %s=%s", v.Type().Field(i).Tag.Get("json"), strconv.FormatFloat(f.Float(), 'f', 3, 64))
		default:
			fmt.Fprintf(b, " %s=%d", v.Type().Field(i).Tag.Get("json"), f.Uint())
		}
	}
}

// JSON returns all figures as one JSON object.
func (r Report) JSON() string {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // only NaN or infinity, which no figure can be
	}
	return string(b)
}
