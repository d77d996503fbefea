package collector

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/expfmt"
)

// Families are per-stream families, in the order in which they are written.
type Families []family

// DefaultFamilies is what stands in a list for those that are exported without one.
const DefaultFamilies = "default"

// ChooseFamilies returns the per-stream families that match only, without those that match except.
// Both are lists with commas between, of names of families and of regular expressions (RE2) that match
// whole names; "default" stands for the families that are exported by default, and so does an empty
// only. A part that matches nothing is an error, and so is a choice of nothing.
func ChooseFamilies(only, except string) (Families, error) {
	if only == "" {
		only = DefaultFamilies
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
		chosen = slices.DeleteFunc(chosen, func(f family) bool { return dropped.has(f.name) })
	}
	if len(chosen) == 0 {
		return nil, errors.New("no per-stream family is left: if that is what you want, give -no-stream-metrics alone")
	}
	return chosen, nil
}

// NoFamilies is the choice of none.
var NoFamilies = Families{}

// AllFamilies are all per-stream families, those that are exported only if asked for included.
func AllFamilies() Families {
	all := slices.Concat(streamFamilies, optionalFamilies)
	slices.SortFunc(all, func(a, b family) int { return strings.Compare(a.name, b.name) })
	return all
}

func matching(list string) (Families, error) {
	all := AllFamilies()
	var names []string
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		if part == DefaultFamilies {
			for _, f := range streamFamilies {
				names = append(names, f.name)
			}
			continue
		}
		_, err := regexp.Compile(part)
		var re *regexp.Regexp
		if err == nil { // what is nested as deep as may be is not when it is wrapped
			re, err = regexp.Compile("^(?:" + part + ")$")
		}
		if err != nil {
			return nil, fmt.Errorf("%q is neither a name nor a regular expression: %w: docs/metrics.md lists the names", part, err)
		}
		found := false
		for _, f := range all {
			if re.MatchString(f.name) {
				names, found = append(names, f.name), true
			}
		}
		if !found {
			return nil, fmt.Errorf("%q matches no per-stream family: docs/metrics.md lists them", part)
		}
	}
	return slices.DeleteFunc(all, func(f family) bool { return !slices.Contains(names, f.name) }), nil
}

// Names are the families' names.
func (fs Families) Names() []string {
	names := make([]string, len(fs))
	for i, f := range fs {
		names[i] = f.name
	}
	return names
}

// Counted says whether some need what stream.Optional holds: worker.Config must have Optional then.
func (fs Families) Counted() bool {
	return slices.ContainsFunc(fs, func(f family) bool { return f.counted })
}

func (fs Families) has(name string) bool {
	return slices.ContainsFunc(fs, func(f family) bool { return f.name == name })
}

// shape is what is written of a snapshot, and how.
type shape struct {
	families Families
	// openMetrics: as OpenMetrics 1.0 has it, and not as the text format 0.0.4. The two differ in the
	// headers of counters and in the end.
	openMetrics bool
}

// extras says whether the snapshot must have them.
func (s *shape) extras() bool {
	return slices.ContainsFunc(s.families, func(f family) bool { return f.extra != nil })
}

// shapeOf says how families are written, those with the wanted names; nil: all.
func shapeOf(format expfmt.Format, families Families, wanted []string) shape {
	if len(wanted) > 0 {
		families = slices.DeleteFunc(slices.Clone(families), func(f family) bool { return !slices.Contains(wanted, f.name) })
	}
	return shape{families: families, openMetrics: format.FormatType() == expfmt.TypeOpenMetrics}
}

// namesOf are the names of the families that a request asks for; nil: all.
func namesOf(r *http.Request) []string {
	if r.URL.RawQuery == "" {
		return nil
	}
	return r.URL.Query()["name[]"]
}
