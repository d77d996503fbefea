package lab

import (
	"errors"

	"tcp-stream-exporter/internal/netns"
)

// NewApart makes the namespaces of a pair without a link between them, for a program that carries
// the packets itself (End.Tun). Of the ends only Namespace is set. Nothing is left behind after an
// error.
func NewApart() (*Pair, error) {
	ends, err := NewNamespaces("-a", "-b")
	if err != nil {
		return nil, err
	}
	return &Pair{A: ends[0], B: ends[1]}, nil
}

// NewNamespaces makes a namespace for each suffix of a name that they have in common, with lo up and no other
// interface. Nothing is left behind after an error.
func NewNamespaces(suffixes ...string) ([]End, error) {
	name := netns.NewName()
	ends := make([]End, len(suffixes))
	for i, suffix := range suffixes {
		ends[i].Namespace = name + suffix
	}
	for _, e := range ends {
		for _, argv := range [][]string{
			{"ip", "netns", "add", e.Namespace},
			{"ip", "-n", e.Namespace, "link", "set", "lo", "up"},
		} {
			if err := run("", argv); err != nil {
				return nil, errors.Join(err, RemoveNamespaces(ends))
			}
		}
	}
	return ends, nil
}

// RemoveNamespaces deletes those of the namespaces that exist, and with them their interfaces.
func RemoveNamespaces(ends []End) error {
	var errs []error
	for _, e := range ends {
		errs = append(errs, remove(e.Namespace))
	}
	return errors.Join(errs...)
}
