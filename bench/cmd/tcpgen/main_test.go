package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"tcp-stream-exporter/bench/gen"
	"tcp-stream-exporter/bench/lab"
	"tcp-stream-exporter/internal/need"
)

func TestFlagsReachTheConfiguration(t *testing.T) {
	o, err := parse(strings.Fields(`-i veth0 -netns ns -force -connections 5 -payload 60 -burst 3 -midstream -one-way
		-new-per-second 7 -churn 8 -rst 0.1 -close-at-end -order elephants -elephants 2 -elephant-share 0.7 -reverse 0.2
		-syn-flood 0.3 -forge 0.4 -rate 9 -packets 10 -duration 11s -seed 12 -truncate -tcp-checksum=false
		-dst-mac 02:00:00:00:00:01 -method txring -qdisc -cpu 1 -per-stream file -json`))
	if err != nil {
		t.Fatal(err)
	}
	want := options{netns: "ns", perStream: "file", json: true, Config: gen.Config{
		Interface: "veth0", Force: true, Connections: 5, Payload: 60, Burst: 3, MidStream: true, OneWay: true,
		OpenRate: 7, Churn: 8, ResetShare: 0.1, CloseAtEnd: true, Order: gen.OrderElephants, Elephants: 2, ElephantShare: 0.7,
		ReverseShare: 0.2, FloodShare: 0.3, ForgeShare: 0.4, Rate: 9, Packets: 10, Duration: 11 * time.Second, Seed: 12,
		Truncate: true, NoTCPChecksum: true, DestMAC: []byte{2, 0, 0, 0, 0, 1}, Method: gen.MethodTXRing, Qdisc: true, CPU: 1, KeepStreams: true,
	}}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got  %+v\nwant %+v", o, want)
	}
	for i := range reflect.ValueOf(o.Config).NumField() {
		if f := reflect.ValueOf(o.Config).Field(i); f.IsZero() {
			t.Errorf("no flag sets %s", reflect.TypeFor[gen.Config]().Field(i).Name)
		}
	}
}

func TestDefaultsAreValid(t *testing.T) {
	o, err := parse([]string{"-i", "veth0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
	if o.NoTCPChecksum || o.KeepStreams || o.CPU != -1 {
		t.Errorf("defaults %+v", o)
	}
}

func TestSaysWhatIsWrongWithItsArguments(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "-i"},
		{[]string{"-i", "none0"}, `interface "none0"`},
		{[]string{"-i", "lo", "x"}, `unexpected argument "x"`},
		{[]string{"-i", "lo", "-netns", "none"}, "namespace none"},
		{[]string{"-i", "lo", "-dst-mac", "x"}, "-dst-mac"},
		{[]string{"-i", "lo", "-payload", "0"}, "payload 0"},
	} {
		err := run(context.Background(), test.args, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: error %v, want %q", test.args, err, test.want)
		}
	}
}

func TestRunPrintsCountsAndWritesStreams(t *testing.T) {
	need.Root(t)
	need.Tool(t, "ip")
	p, err := lab.New(lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	file := filepath.Join(t.TempDir(), "streams.tsv")
	args := []string{"-netns", p.A.Namespace, "-i", lab.Device, "-connections", "20", "-packets", "1000", "-cpu", "0"}
	var line, object bytes.Buffer
	if err := run(context.Background(), append(args, "-per-stream", file), &line); err != nil {
		t.Fatal(err)
	}
	if err := run(context.Background(), append(args, "-json"), &object); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(line.String(), "packets=1000 ") || strings.Count(line.String(), "\n") != 1 {
		t.Errorf("printed %q", line.String())
	}
	var r gen.Report
	if err := json.Unmarshal(object.Bytes(), &r); err != nil || r.Packets != 1000 || r.SYN != 20 {
		t.Errorf("printed %q: %v", object.String(), err)
	}
	streams, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(streams, []byte("\n")); n != 1+2*20 {
		t.Errorf("%d lines of streams, want a header and 40", n)
	}
}
