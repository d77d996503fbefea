package scrapetest

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// families are the types by name of all families that docs/metrics.md has in its tables, which tests of collector hold
// against the program.
func families(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (counter|gauge|histogram) \\|").FindAllStringSubmatch(string(page), -1) {
		types[row[1]] = row[2]
	}
	if len(types) < 80 || types["tcp_group_rtt_seconds"] != "histogram" {
		t.Fatalf("docs/metrics.md has the families %v", types)
	}
	return types
}

// names holds expressions against the families that there are.
type names struct {
	families map[string]string // types by name
	others   map[string]bool   // series that others make: recording rules, Prometheus itself
	parser   parser.Parser
}

func newNames(t *testing.T, others ...string) *names {
	n := &names{families: families(t), others: map[string]bool{}, parser: parser.NewParser(parser.Options{})}
	for _, name := range others {
		n.others[name] = true
	}
	return n
}

// faults returns what is wrong with an expression: it does not parse, a series is of no family, or rate is taken of a
// gauge.
func (n *names) faults(text string) (faults []string) {
	expr, err := n.parser.ParseExpr(text)
	if err != nil {
		return []string{err.Error()}
	}
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		v, is := node.(*parser.VectorSelector)
		if !is || n.others[v.Name] {
			return nil
		}
		kind, counts := n.kind(v.Name)
		if kind == "" {
			faults = append(faults, v.Name+" is no family's")
		}
		for _, above := range path {
			if call, is := above.(*parser.Call); is && (call.Func.Name == "rate" || call.Func.Name == "increase") && !counts {
				faults = append(faults, call.Func.Name+" of "+v.Name+", a "+kind)
			}
		}
		return nil
	})
	return faults
}

// kind returns the type of the family of a series, or "", and whether it only grows. Native histograms have the family's
// own name.
func (n *names) kind(series string) (kind string, counts bool) {
	if kind = n.families[series]; kind != "" {
		return kind, kind != "gauge"
	}
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		if name, has := strings.CutSuffix(series, part); has && n.families[name] == "histogram" {
			return "histogram", true
		}
	}
	return "", false
}

func TestNamesThatAreWrongAreFaults(t *testing.T) {
	n := newNames(t, "up")
	for expr, want := range map[string]int{
		"up == 0":                                0,
		"rate(tcp_group_packets_total[5m])":      0,
		"rate(tcp_group_rtt_seconds_bucket[5m])": 0,
		"rate(tcp_group_rtt_seconds[5m])":        0,
		"tcp_group_packet_total":                 1,
		"tcp_stream_count_bucket":                1,
		"rate(tcp_stream_count[5m])":             1,
		"sum(tcp_stream_count":                   1,
	} {
		if faults := n.faults(expr); len(faults) != want {
			t.Errorf("%s has the faults %q, want %d", expr, faults, want)
		}
	}
}
