package lab

import (
	"errors"

	"tcp-stream-exporter/internal/netns"
)

// NewApart makes the namespaces of a pair without a link between them, for a program that carries
// the packets itself (End.Tun). Of the ends only Namespace is set. Nothing is left behind after an
// error.
func NewApart() (*Pair, error) {
	name := netns.NewName()
	p := &Pair{A: End{Namespace: name + "-a"}, B: End{Namespace: name + "-b"}}
	for _, e := range []End{p.A, p.B} {
		for _, argv := range [][]string{
			{"ip", "netns", "add", e.Namespace},
			{"ip", "-n", e.Namespace, "link", "set", "lo", "up"},
		} {
			if err := run("", argv); err != nil {
				return nil, errors.Join(err, p.Close())
			}
		}
	}
	return p, nil
}
