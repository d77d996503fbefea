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

// ChooseGroupFamilies returns the families of groups that match a list, as ChooseFamilies does; "none" stands for no
// family at all.
func ChooseGroupFamilies(list string) (GroupFamilies, error) {
	if list == noneList {
		return NoGroupFamilies, nil
	}
	names, err := ChooseNames(list, allGroups.Names(), DefaultGroupFamilies().Names(), "family of groups")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(allGroups), func(f GroupFamily) bool { return !slices.Contains(names, f.Name) }), nil
}

// noneList is the list of no family of groups.
const noneList = "none"

// NoGroupFamilies is the choice of none.
var NoGroupFamilies = GroupFamilies{}

// DefaultGroupFamilies returns the families of groups that are exported by default.
func DefaultGroupFamilies() GroupFamilies {
	return slices.DeleteFunc(slices.Clone(allGroups), func(f GroupFamily) bool { return f.OnRequest })
}

// Names returns the families' names.
func (fs GroupFamilies) Names() []string {
	names := make([]string, len(fs))
	for i := range fs {
		names[i] = fs[i].Name
	}
	return names
}

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
	return Selection{families: fs, names: names}
}

// Selection chooses the families that a text holds. The zero value holds all totals and no family of streams or
// groups.
type Selection struct {
	families Families
	groups   GroupFamilies
	names    []string // empty: all
	bare     bool     // nothing but families of streams
}

// WithGroups returns s with those families of groups that its names select, and with those that tell of the
// combinations. NoGroupFamilies adds nothing.
func (s Selection) WithGroups(fs GroupFamilies) Selection {
	s.groups = nil
	if len(fs) == 0 {
		return s
	}
	for _, families := range []GroupFamilies{fs, groupOwnFamilies} {
		for i := range families {
			if s.Includes(families[i].Name) {
				s.groups = append(s.groups, families[i])
			}
		}
	}
	return s
}

// OnlyStreams returns s without all that is not a family of streams.
func (s Selection) OnlyStreams() Selection {
	return Selection{families: s.families, names: s.names, bare: true}
}

// WithoutStreams returns s without the families of streams.
func (s Selection) WithoutStreams() Selection {
	s.families = nil
	return s
}

// NeedStreams reports whether streams are written at all.
func (s Selection) NeedStreams() bool { return len(s.families) > 0 }

// Groups returns the families of groups that are written, by name. They must not be changed.
func (s Selection) Groups() GroupFamilies { return s.groups }

// NeedExtras reports whether Streams.Extras are read.
func (s Selection) NeedExtras() bool {
	return slices.ContainsFunc(s.families, func(f Family) bool { return f.extra != nil })
}

// Includes reports whether a family that is not one of streams is to be written.
func (s Selection) Includes(name string) bool {
	return !s.bare && (len(s.names) == 0 || slices.Contains(s.names, name))
}
