package group

import "tcp-stream-exporter/parse"

// Set says which group an address belongs to and which ports are services. To a nil Set everything is other.
type Set struct {
	find    func(parse.Addr) Member
	service func(port uint16) uint16
}

// NewSet returns a Set that asks these two.
func NewSet(find func(parse.Addr) Member, service func(port uint16) uint16) *Set {
	return &Set{find, service}
}

// Find returns the group of a.
func (s *Set) Find(a parse.Addr) Member {
	if s == nil {
		return Member{}
	}
	return s.find(a)
}

// Service returns port if it is a listed service, else 0.
func (s *Set) Service(port uint16) uint16 {
	if s == nil {
		return 0
	}
	return s.service(port)
}
