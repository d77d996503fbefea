package top

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// none stands for a figure that is not known.
const none = "-"

// short returns a number of three digits with a prefix of 1000s, such as 1.23M; at most 5 characters below 1e21.
func short(x float64) string {
	const prefixes = "kMGTPE"
	if math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
		return none
	}
	if x < 999.5 {
		return strconv.FormatFloat(x, 'f', digits(x, x == math.Trunc(x)), 64)
	}
	i := -1
	for x >= 999.5 && i < len(prefixes)-1 {
		x /= 1000
		i++
	}
	return strconv.FormatFloat(x, 'f', digits(x, false), 64) + prefixes[i:i+1]
}

// digits returns how many digits behind the point make three in all.
func digits(x float64, whole bool) int {
	switch {
	case whole || x >= 99.95:
		return 0
	case x >= 9.995:
		return 1
	}
	return 2
}

// shortOf is short of a figure that may be unknown.
func shortOf(x *float64) string {
	if x == nil {
		return none
	}
	return short(*x)
}

// duration returns a time in seconds as 12.3us, 12.3ms, 12.3s; at most 6 characters below 1000 s.
func duration(s *float64) string {
	switch {
	case s == nil || math.IsNaN(*s) || *s < 0:
		return none
	case *s == 0:
		return "0"
	case *s < 999.5e-6:
		return short(*s*1e6) + "us"
	case *s < 999.5e-3:
		return short(*s*1e3) + "ms"
	}
	return short(*s) + "s"
}

// age returns a time in seconds in the unit that fits: 59s, 59m, 47h, 99d.
func age(s *float64) string {
	if s == nil || !(*s >= 0 && *s < 1e9) {
		return none
	}
	d := time.Duration(*s) * time.Second
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// percent returns part of whole in percent; none where whole is unknown or 0.
func percent(part, whole *float64) string {
	if part == nil || whole == nil || *whole <= 0 {
		return none
	}
	p := 100 * *part / *whole
	if p < 99.95 && p != 0 {
		return strconv.FormatFloat(p, 'f', 1, 64) + "%"
	}
	return strconv.FormatFloat(p, 'f', 0, 64) + "%"
}
