package top

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// filter says which rows are wanted: parameters of the API with their values, in the order in which they were typed.
type filter []parameter

type parameter struct{ name, value string }

// Parameters of the API that a filter may have. Those of streams and of groups have the same meaning where they have the
// same name.
var (
	streamParameters = []string{"addr", "src", "dst", "port", "group", "service", "interface", "vlan", "state", "min_bytes"}
	groupParameters  = []string{"client_group", "server_group", "group", "service", "interface"}
)

// parseFilter reads words with spaces between: NAME=VALUE with a parameter of the API, or a value that says by itself what
// it is, an address or a prefix, a port, or a state. The error is one line with the remedy.
func parseFilter(text string) (filter, error) {
	var f filter
	for word := range strings.FieldsSeq(text) {
		p, err := parseWord(word)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(f, func(q parameter) bool { return q.name == p.name }) {
			return nil, fmt.Errorf("%s: there is a value for %s already: give one", word, p.name)
		}
		f = append(f, p)
	}
	return f, nil
}

func parseWord(word string) (parameter, error) {
	if name, value, found := strings.Cut(word, "="); found {
		if !slices.Contains(streamParameters, name) && !slices.Contains(groupParameters, name) {
			return parameter{}, fmt.Errorf("%s: no filter is called %q: there are %s, and for groups %s", word, name,
				strings.Join(streamParameters, ", "), strings.Join(groupParameters[:2], ", "))
		}
		return parameter{name, value}, nil
	}
	if _, err := netip.ParsePrefix(word); err == nil {
		return parameter{"addr", word}, nil
	}
	if _, err := netip.ParseAddr(word); err == nil {
		return parameter{"addr", word}, nil
	}
	if _, err := strconv.ParseUint(strings.TrimPrefix(word, ":"), 10, 16); err == nil {
		return parameter{"port", strings.TrimPrefix(word, ":")}, nil
	}
	if word == "active" || word == "finalized" {
		return parameter{"state", word}, nil
	}
	return parameter{}, fmt.Errorf("%s: want an address or a prefix, a port, active, finalized, or NAME=VALUE such as group=lan", word)
}

// String returns the filter as it may be typed.
func (f filter) String() string {
	words := make([]string, len(f))
	for i, p := range f {
		words[i] = p.name + "=" + p.value
	}
	return strings.Join(words, " ")
}

// streams returns the parameters of a request for streams.
func (f filter) streams(by order, limit int) url.Values {
	q := f.of(streamParameters)
	q.Set("sort", by.name())
	q.Set("limit", strconv.Itoa(limit))
	return q
}

// groups returns the parameters of a request for groups.
func (f filter) groups() url.Values { return f.of(groupParameters) }

// of returns those parameters that have one of the names.
func (f filter) of(names []string) url.Values {
	q := url.Values{}
	for _, p := range f {
		if slices.Contains(names, p.name) {
			q.Set(p.name, p.value)
		}
	}
	return q
}

// shown returns the part of the filter that a view applies, as it may be typed.
func (f filter) shown(v view) string {
	names := streamParameters
	if v == ofGroups {
		names = groupParameters
	}
	return slices.DeleteFunc(slices.Clone(f), func(p parameter) bool { return !slices.Contains(names, p.name) }).String()
}
