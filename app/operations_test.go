package app

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/operations.md tells what to do about every warning and every error of the log, by the words before the first
// colon, semicolon or bracket.
func TestWarningsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, there := strings.Cut(string(text), "\n## Troubleshooting\n")
	if !there {
		t.Fatal("docs/operations.md has no section Troubleshooting")
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	warning, found := regexp.MustCompile(`log\.(?:Warn|Error)\("([^":;(]+)`), 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range warning.FindAllStringSubmatch(string(source), -1) {
			found++
			if words := strings.TrimSpace(m[1]); !strings.Contains(table, words) {
				t.Errorf("%s warns %q, and docs/operations.md does not tell what to do", file, words)
			}
		}
	}
	if found < 15 {
		t.Errorf("%d warnings found in the sources, want 15 or more: the test looks past them", found)
	}
}
