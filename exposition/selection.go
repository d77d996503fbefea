package exposition

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// defaultList stands in a list for the families that are exported by default.
const defaultList = "default"

// ChooseFamilies returns the families that match only and do not match except. Both are lists with
// commas between, of names and of regular expressions (RE2) that match whole names; "default" stands for
// the families that are exported by default, and so does an empty only. A part that matches nothing is
// an error, and so is a choice of nothing.
func ChooseFamilies(only, except string) (Families, error) {
	if only == "" {
		only = defaultList
	}
	chosen, err := matching(only)
	if err != nil {
		return nil, err
	}
	if except != "" {
		dropped, err := matching(except)
		if err != nil {
			return nil, err
		}
		chosen = slices.DeleteFunc(chosen, func(f Family) bool { return dropped.has(f.Name) })
	}
	if len(chosen) == 0 {
		return nil, errors.New("no per-stream family is left: if that is what you want, give -no-stream-metrics alone")
	}
	return chosen, nil
}

// NoFamilies is the choice of none.
var NoFamilies = Families{}

// DefaultFamilies returns the families that are exported by default.
func DefaultFamilies() Families { return slices.Clone(byDefault) }

// AllFamilies returns all families, those that are exported only if asked for included.
func AllFamilies() Families { return slices.Clone(all) }

func matching(list string) (Families, error) {
	names, err := ChooseNames(list, all.Names(), byDefault.Names(), "per-stream family")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(AllFamilies(), func(f Family) bool { return !slices.Contains(names, f.Name) }), nil
}

// ChooseNames returns those of all names, in their order, that a list selects, whose parts are as those of
// ChooseFamilies; "default" stands for the names in defaults. A part that matches nothing is an error. kind is what
// that calls a name.
func ChooseNames(list string, all, defaults []string, kind string) ([]string, error) {
	var names []string
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		if part == defaultList {
			names = append(names, defaults...)
			continue
		}
		_, err := regexp.Compile(part)
		var re *regexp.Regexp
		if err == nil { // an expression that is nested as deeply as RE2 allows fails once it is wrapped
			re, err = regexp.Compile("^(?:" + part + ")$")
		}
		if err != nil {
			return nil, fmt.Errorf("%q is neither a name nor a regular expression: %w: docs/metrics.md lists the names", part, err)
		}
		found := false
		for _, name := range all {
			if re.MatchString(name) {
				names, found = append(names, name), true
			}
		}
		if !found {
			return nil, fmt.Errorf("%q matches no %s: docs/metrics.md lists them", part, kind)
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !slices.Contains(names, name) }), nil
}

// Names returns the families' names.
func (fs Families) Names() []string {
	names := make([]string, len(fs))
	for i := range fs {
		names[i] = fs[i].Name
	}
	return names
}

// NeedOptional reports whether a family shows what only a stream.Optional counts, which a capture keeps
// only if it is configured to.
func (fs Families) NeedOptional() bool {
	return slices.ContainsFunc(fs, func(f Family) bool { return f.optional })
}

func (fs Families) has(name string) bool {
	return slices.ContainsFunc(fs, func(f Family) bool { return f.Name == name })
}

// Select returns the families that one reader gets: those with the given names, of the totals and other
// families too, or all if there are no names.
func (fs Families) Select(names []string) Selection {
	if len(names) > 0 {
		fs = slices.DeleteFunc(slices.Clone(fs), func(f Family) bool { return !slices.Contains(names, f.Name) })
	}
	return Selection{fs, names}
}

// Selection chooses the families that a text holds. The zero value holds all totals and no family of streams.
type Selection struct {
	families Families
	names    []string // empty: all
}

// NeedStreams reports whether streams are written at all.
func (s Selection) NeedStreams() bool { return len(s.families) > 0 }

// NeedExtras reports whether Streams.Extras are read.
func (s Selection) NeedExtras() bool {
	return slices.ContainsFunc(s.families, func(f Family) bool { return f.extra != nil })
}

// Includes reports whether a family that is not one of streams is to be written.
func (s Selection) Includes(name string) bool {
	return len(s.names) == 0 || slices.Contains(s.names, name)
}
