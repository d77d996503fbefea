package api

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// longest is the number of bytes of a parameter's value that an error shows.
const longest = 100

// show returns a parameter as it may be typed, for errors: one line, however long the value is.
func show(name, value string) string {
	if len(value) > longest {
		value = value[:longest] + "…"
	}
	quoted := strconv.QuoteToGraphic(value)
	if plain := quoted[1 : len(quoted)-1]; plain == value && value != "" && !strings.Contains(value, " ") {
		return name + "=" + value
	}
	return name + "=" + quoted
}

// bad returns the error of a parameter: its value, and what to give instead.
func bad(name, value, remedy string) error { return fmt.Errorf("%s: %s", show(name, value), remedy) }

// parameter is one that a path takes: read takes its value and returns the remedy if that is none of its kind.
type parameter struct {
	name string
	read func(value string) (remedy string)
}

// readAll reads a query string. Each parameter may be given once. The order of errors is that of the query, so that the
// same query has the same error always.
func readAll(raw string, known []parameter) error {
	given := map[string]bool{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil || strings.Contains(pair, ";") {
			return fmt.Errorf("%s: want name=value, with & between parameters and other characters as %%XX", show("parameter", pair))
		}
		i := slices.IndexFunc(known, func(p parameter) bool { return p.name == name })
		if i < 0 {
			return fmt.Errorf("%s: no such parameter: there are %s", show("parameter", name), namesOf(known))
		}
		if given[name] {
			return bad(name, value, "was given before: give each parameter once")
		}
		given[name] = true
		if remedy := known[i].read(value); remedy != "" {
			return bad(name, value, remedy)
		}
	}
	return nil
}

// namesOf returns the parameters' names, for errors.
func namesOf(known []parameter) string {
	names := make([]string, len(known))
	for i := range known {
		names[i] = known[i].name
	}
	return strings.Join(names, ", ")
}

// wholeNumber reads a number from least to most into n.
func wholeNumber[T int | uint16 | uint64](n *T, least, most uint64) func(string) string {
	return func(value string) string {
		x, err := strconv.ParseUint(value, 10, 64)
		if err != nil || x < least || x > most {
			if most == 1<<64-1 {
				return fmt.Sprintf("want a whole number, %d or more", least)
			}
			return fmt.Sprintf("want %d to %d", least, most)
		}
		*n = T(x)
		return ""
	}
}

// text reads a value that must not be empty; a pointer, because a name may be anything else.
func text(to **string, what string) func(string) string {
	return func(value string) string {
		if value == "" {
			return "want " + what
		}
		*to = &value
		return ""
	}
}
