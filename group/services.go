package group

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// DefaultServices lists the server ports that are services of their own unless told otherwise.
const DefaultServices = "22,25,53,80,110,143,179,443,465,587,853,993,995,1194,3306,3389,5432,5060,6379,8080,8443,51820"

// noServices stands for an empty list.
const noServices = "none"

// Services is a set of TCP ports, one bit each.
type Services [1 << 16 / 64]uint64

// ParseServices returns the set of a list of ports, 1 to 65535, with commas between; "none" is the empty one.
func ParseServices(list string) (*Services, error) {
	s := &Services{}
	if strings.TrimSpace(list) == noServices {
		return s, nil
	}
	if strings.TrimSpace(list) == "" {
		return nil, errors.New("name ports, such as 22,80,443, or none")
	}
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		port, err := strconv.ParseUint(part, 10, 16)
		switch {
		case part == noServices:
			return nil, errors.New("none stands alone: leave it out, or the ports")
		case err != nil || port == 0:
			return nil, fmt.Errorf("%q is no port: want 1 to 65535 with commas between, or none", part)
		case s.has(uint16(port)):
			return nil, fmt.Errorf("port %d is there twice: leave one out", port)
		}
		s[port/64] |= 1 << (port % 64)
	}
	return s, nil
}

func (s *Services) has(port uint16) bool { return s[port/64]>>(port%64)&1 != 0 }
