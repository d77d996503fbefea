package app

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"syscall"

	"tcp-stream-exporter/exposition"
	"tcp-stream-exporter/group"
	"tcp-stream-exporter/worker"
)

// maxSubnets is the most that -group-max-subnets takes.
const maxSubnets = worker.MaxCombinations

// groupFlags holds the flags that say which groups and services there are, and what is exported of them.
type groupFlags struct {
	file         string   // of groups; empty: none
	texts        repeated // groups
	max          int      // combinations of groups and service
	maxSubnets   int      // more of them, with subnets
	servicesText string
	services     *group.Services
	familiesText string
	families     exposition.GroupFamilies // empty: none
	names        group.Names              // of all groups since the start
	flag         func(string) string      // returns a flag as typed
}

func (g *groupFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&g.file, "groups", "", "`file` of groups of addresses, a line NAME CIDR... for each, read again after SIGHUP and when it changes (default: none)")
	fs.Var(&g.texts, "group", "a group of addresses, as `NAME=CIDR[,CIDR...]`, or NAME/24=... for a group of each subnet of this length that shows traffic; may be given several times")
	fs.StringVar(&g.servicesText, "service-ports", group.DefaultServices, "`list` of the server ports that are services of their own, or none; the others are one")
	fs.IntVar(&g.max, "group-max", 128, "`number` of combinations of client group, server group and service that are counted apart at most; the others are counted as other")
	fs.IntVar(&g.maxSubnets, "group-max-subnets", 4096, "the same `number` for combinations with the subnets of a NAME/24")
	fs.StringVar(&g.familiesText, "group-metrics", "", "`list` of the metrics by group to export, as -metrics, or none; default stands for those that are exported without this flag")
}

// groupFlagNames lists the flags that register defines. A run over a file prints figures by stream alone.
var groupFlagNames = []string{"groups", "group", "service-ports", "group-max", "group-max-subnets", "group-metrics"}

// repeated is the value of a flag that may be given several times.
type repeated []string

func (r *repeated) String() string { return strings.Join(*r, " ") }

// Get returns the values, for flag.Getter.
func (r *repeated) Get() any { return []string(*r) }

// Set takes one more value.
func (r *repeated) Set(text string) error {
	*r = append(*r, text)
	return nil
}

// resolve validates the flags that were given, but for the file. flag returns one as typed.
func (g *groupFlags) resolve(given map[string]bool, flag func(string) string) error {
	g.flag = flag
	if given["groups"] && g.file == "" {
		return fmt.Errorf("%s: name a file of groups", flag("groups"))
	}
	if g.max < 1 || g.max > group.MaxGroups {
		return fmt.Errorf("%s: want 1 to %d", flag("group-max"), group.MaxGroups)
	}
	if g.maxSubnets < 1 || g.maxSubnets > maxSubnets {
		return fmt.Errorf("%s: want 1 to %d", flag("group-max-subnets"), maxSubnets)
	}
	var err error
	if g.services, err = group.ParseServices(g.servicesText); err != nil {
		return fmt.Errorf("%s: %w", flag("service-ports"), err)
	}
	if g.families, err = g.chooseFamilies(given["group-metrics"]); err != nil {
		return fmt.Errorf("%s: %w", flag("group-metrics"), err)
	}
	b := g.builder()
	if err := g.addTexts(b); err != nil {
		return err
	}
	if g.file == "" {
		_, err = b.Build(g.services, flag("group-max"))
	}
	return err
}

// noFamilies stands for an empty list of -group-metrics.
const noFamilies = "none"

func (g *groupFlags) chooseFamilies(given bool) (exposition.GroupFamilies, error) {
	switch strings.TrimSpace(g.familiesText) {
	case noFamilies:
		return exposition.NoGroupFamilies, nil
	case "":
		if given {
			return nil, errors.New("name metrics by group, e.g. -group-metrics default,tcp_group_connection_bytes, or none")
		}
		return exposition.DefaultGroupFamilies(), nil
	}
	return exposition.ChooseGroupFamilies(g.familiesText)
}

// combinations returns how many combinations of groups the workers have room for, without and with subnets: none if
// nobody reads them.
func (g *groupFlags) combinations() (plain, subnets int) {
	if len(g.families) == 0 {
		return 0, 0
	}
	return g.max, g.maxSubnets
}

func (g *groupFlags) builder() *group.Builder { return group.NewBuilder(&g.names, g.max) }

func (g *groupFlags) addTexts(b *group.Builder) error {
	for _, text := range g.texts {
		if err := b.AddText(withValue("group", text), text); err != nil {
			return err
		}
	}
	return nil
}

// load makes the Set of the flags and the file as it is now, and returns the file's state from before it was read. Errors
// are one line with the place and the remedy.
func (g *groupFlags) load() (*group.Set, fileState, error) {
	b := g.builder()
	var state fileState
	err := g.addTexts(b)
	if err == nil && g.file != "" {
		state, err = g.addFile(b)
	}
	if err != nil {
		return nil, state, err
	}
	set, err := b.Build(g.services, g.flag("group-max"))
	return set, state, err
}

func (g *groupFlags) addFile(b *group.Builder) (fileState, error) {
	where := g.flag("groups")
	unreadable := func(err error) error {
		if reason := syscall.Errno(0); errors.As(err, &reason) {
			err = reason // the path is in front of it
		}
		return fmt.Errorf("%s: %w: name a file that can be read", where, err)
	}
	// Opening a pipe would wait for somebody who writes, and it cannot be read again.
	info, err := os.Stat(g.file)
	if err != nil {
		return fileState{}, unreadable(err)
	}
	if !info.Mode().IsRegular() {
		return stateOf(info), unreadable(errors.New("not a regular file"))
	}
	f, err := os.Open(g.file)
	if err != nil {
		return stateOf(info), unreadable(err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return fileState{}, unreadable(err)
	}
	return stateOf(info), b.AddFile(where, f)
}

// isConfigured reports whether there are groups besides other.
func (g *groupFlags) isConfigured() bool { return g.file != "" || len(g.texts) > 0 }
