package main

import (
	"strings"
	"testing"
)

func TestSoak(t *testing.T) {
	var out strings.Builder
	err := run(1<<12, 400_000, &out)
	t.Logf("\n%s", &out)
	if err != nil {
		t.Error(err)
	}
}
