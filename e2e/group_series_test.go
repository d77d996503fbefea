package e2e

import (
	"strings"

	"tcp-stream-exporter/internal/lab"
)

// combination names the series of a client group, a server group and a service.
type combination struct{ client, server, service string }

// Groups by which a Router's ends are told apart, whatever the lab's networks are.
var (
	routerGroups = []string{"-group", "home=10.99.0.0/16", "-group", "remote=10.98.0.0/16"}
	homeToRemote = combination{"home", "remote", "other"}
)

// key names a series. labels are pairs, besides those of the combination.
func (c combination) key(name string, labels ...string) string {
	return lab.Key(name, append([]string{"client_group", c.client, "server_group", c.server, "service", c.service}, labels...)...)
}

// groupSum adds up the series of a family that have all of the labels, which are pairs.
func groupSum(m lab.Metrics, name string, labels ...string) (sum float64) {
	for key, v := range m {
		if family, rest, _ := strings.Cut(key, "{"); family == name && hasLabels(rest, labels) {
			sum += v
		}
	}
	return sum
}

func hasLabels(text string, labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		if !strings.Contains(text, labels[i]+`="`+labels[i+1]+`"`) {
			return false
		}
	}
	return true
}
