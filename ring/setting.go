package ring

import (
	"fmt"
	"strings"
)

// Setting names a value that Config or OpenGroup takes.
type Setting int

// The settings, each with its field of Config.
const (
	SettingInterface Setting = iota // IfIndex
	SettingBlockSize                // BlockSize
	SettingNumBlocks                // NumBlocks
	SettingFrameSize                // FrameSize
	SettingRetireTov                // RetireTov
	SettingFilter                   // Filter
	SettingRings                    // the number of rings that OpenGroup opens
)

// SettingError refuses a setting, or several together, and names in one line what to use instead.
// A caller that knows the settings by other names gets the line with those from Text.
type SettingError struct {
	settings []Setting // at least one; what to change first comes first
	problem  string    // and what to do, without the settings' names
	err      error     // the kernel's, or nil
	config   Config
	rings    int
}

// refuse returns a SettingError. The problem does not name the settings: Text puts them before it.
func (c Config) refuse(settings []Setting, problem string, args ...any) *SettingError {
	return &SettingError{settings: settings, problem: fmt.Sprintf(problem, args...), config: c, rings: 1}
}

// because has Unwrap return err.
func (e *SettingError) because(err error) *SettingError {
	e.err = err
	return e
}

// inGroup makes e an error of a group of n rings; of several, their number is one of the settings.
func (e *SettingError) inGroup(n int) *SettingError {
	if e.rings = n; n > 1 {
		e.settings = append([]Setting{SettingRings}, e.settings...)
	}
	return e
}

// Error returns the line with this package's names of the settings.
func (e *SettingError) Error() string { return e.Text(e.named) }

// Text returns the line with each setting and its value as the caller shows them.
func (e *SettingError) Text(show func(Setting) string) string {
	shown := make([]string, len(e.settings))
	for i, s := range e.settings {
		shown[i] = show(s)
	}
	last := len(shown) - 1
	names := shown[last]
	if last > 0 {
		names = strings.Join(shown[:last], ", ") + " and " + names
	}
	return names + ": " + e.problem
}

// Unwrap returns the kernel's error, if there is one.
func (e *SettingError) Unwrap() error { return e.err }

func (e *SettingError) named(s Setting) string {
	switch c := &e.config; s {
	case SettingInterface:
		return fmt.Sprintf("interface index %d", c.IfIndex)
	case SettingBlockSize:
		return fmt.Sprintf("block size %d", c.BlockSize)
	case SettingNumBlocks:
		return fmt.Sprintf("number of blocks %d", c.NumBlocks)
	case SettingFrameSize:
		return fmt.Sprintf("frame size %d", c.FrameSize)
	case SettingRetireTov:
		return fmt.Sprintf("retire timeout %v", c.RetireTov)
	case SettingFilter:
		return fmt.Sprintf("packet filter of %d instructions", len(c.Filter))
	}
	return fmt.Sprintf("number of rings %d", e.rings)
}
