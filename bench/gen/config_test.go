package gen

import (
	"encoding/json"
	"math"
	"net"
	"strings"
	"testing"
	"time"
)

func TestValidateNamesTheValueAndWhatToTake(t *testing.T) {
	for _, test := range []struct {
		change func(*Config)
		want   string // "": valid
	}{
		{nil, ""},
		{func(c *Config) { c.Connections = 0 }, "connections 0"},
		{func(c *Config) { c.Payload = 0 }, "payload 0"},
		{func(c *Config) { c.Payload, c.OneWay = 0, true }, "payload 0"},
		{func(c *Config) { c.Payload, c.OneWay, c.MidStream = 0, true, true }, ""},
		{func(c *Config) { c.Payload, c.OneWay, c.MidStream, c.Burst = 0, true, true, 2 }, "payload 0"},
		{func(c *Config) { c.Payload = 65495 }, ""},
		{func(c *Config) { c.Payload = 65496 }, "payload 65496"},
		{func(c *Config) { c.ReverseShare = 0.51 }, "reverse share 0.51"},
		{func(c *Config) { c.ReverseShare = math.NaN() }, "reverse share NaN"},
		{func(c *Config) { c.FloodShare = 1.1 }, "flood share 1.1"},
		{func(c *Config) { c.FloodShare = math.NaN() }, "flood share NaN"},
		{func(c *Config) { c.ForgeShare = -1 }, "forge share -1"},
		{func(c *Config) { c.ResetShare = 2 }, "reset share 2"},
		{func(c *Config) { c.ElephantShare = 2 }, "elephant share 2"},
		{func(c *Config) { c.Rate = -1 }, "rate -1"},
		{func(c *Config) { c.Churn = math.NaN() }, "churn NaN"},
		{func(c *Config) { c.OpenRate = -1 }, "rate of new connections -1"},
		{func(c *Config) { c.Duration = -time.Second }, "duration -1s"},
		{func(c *Config) { c.Order = OrderElephants }, "elephants 0"},
		{func(c *Config) { c.Order, c.Elephants = OrderElephants, 201 }, "elephants 201"},
		{func(c *Config) { c.Order, c.Elephants = OrderElephants, 200 }, ""},
		{func(c *Config) { c.DestMAC = net.HardwareAddr{1, 2, 3} }, "destination MAC 01:02:03"},
		{func(c *Config) { c.Burst = 512 }, ""},
		{func(c *Config) { c.Burst = 513 }, "burst 513"},
		{func(c *Config) { c.Burst, c.Payload = 47, 1400 }, "burst 47"},
		{func(c *Config) { c.Burst, c.Truncate = 2, true }, "burst 2"},
		{func(c *Config) { c.Burst, c.Method = 2, MethodTXRing }, "burst 2"},
		{func(c *Config) { c.Burst, c.NoTCPChecksum = 2, true }, "burst 2"},
	} {
		c := base(test.change)
		err := c.Validate()
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%v, want none", err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "take ")):
			t.Errorf("error %v, want one with %q and a remedy", err, test.want)
		}
	}
}

func TestOrderAndMethodAreFlags(t *testing.T) {
	for _, name := range []string{"roundrobin", "uniform", "elephants"} {
		var o Order
		if err := o.Set(name); err != nil || o.String() != name {
			t.Errorf("order %q: %v, reads back as %v", name, err, o)
		}
	}
	for _, name := range []string{"sendmmsg", "txring"} {
		var m Method
		if err := m.Set(name); err != nil || m.String() != name {
			t.Errorf("method %q: %v, reads back as %v", name, err, m)
		}
	}
	if err := new(Order).Set("any"); err == nil || !strings.Contains(err.Error(), "roundrobin, uniform, elephants") {
		t.Errorf("order any: %v", err)
	}
	if err := new(Method).Set("any"); err == nil || !strings.Contains(err.Error(), "sendmmsg, txring") {
		t.Errorf("method any: %v", err)
	}
}

// What the rate allows, over a second in steps of 3 ms, with and without a pause of the thread.
func TestDueKeepsTheRateAndLetsAPauseGo(t *testing.T) {
	for _, test := range []struct {
		name        string
		rate        float64
		pause       time.Duration
		least, most int
	}{
		{"one a second", 1, 0, 0, 1},
		{"a thousand", 1000, 0, 990, 1000},
		{"a million", 1e6, 0, 990000, 1000000},
		{"a thousand with a pause of half a second", 1000, 500 * time.Millisecond, 480, 530},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := &Generator{cfg: Config{Rate: test.rate}}
			start := time.Unix(0, 0)
			p := pace{since: start}
			sent := 0
			for at := time.Duration(0); at < time.Second; at += 3 * time.Millisecond {
				if at == 300*time.Millisecond {
					at += test.pause
				}
				n := g.due(&p, start.Add(at))
				if most := int(test.rate*maxLag.Seconds()) + 1; n > most {
					t.Fatalf("%d packets due at once, at most %d after any pause", n, most)
				}
				p.sent += uint64(n)
				sent += n
				if wait := g.untilDue(&p, start.Add(at)); wait < shortPause || wait > longPause {
					t.Fatalf("the next packet is due in %v", wait)
				} else if later := start.Add(at + wait + time.Microsecond); wait < longPause && g.due(&p, later) == 0 {
					t.Fatalf("no packet is due %v later", wait)
				}
			}
			if sent < test.least || sent > test.most {
				t.Errorf("%d packets in a second, want %d to %d", sent, test.least, test.most)
			}
		})
	}
}

func TestReportHasTheSameKeysInBothForms(t *testing.T) {
	r := Report{Counts: Counts{Packets: 3, Data: 2, ACK: 1, PayloadBytes: 200}, Seconds: 0.5, PPS: 6}
	line := r.Line()
	var object map[string]float64
	if err := json.Unmarshal([]byte(r.JSON()), &object); err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(line)
	if len(fields) != len(object) {
		t.Errorf("%d keys in %q, %d in %v", len(fields), line, len(object), object)
	}
	for _, field := range fields {
		key, _, _ := strings.Cut(field, "=")
		if _, ok := object[key]; !ok {
			t.Errorf("%s is not in the JSON form", key)
		}
	}
	if !strings.HasPrefix(line, "packets=3 payload_bytes=200 ") || !strings.Contains(line, " seconds=0.500 pps=6.000 ") || object["data"] != 2 {
		t.Errorf("line %q, object %v", line, object)
	}
}
