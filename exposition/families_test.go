package exposition

import (
	"strings"
	"testing"

	"tcp-stream-exporter/exposition/expositiontest"
)

func TestContractAndTableHoldTheSameFamilies(t *testing.T) {
	kinds := map[string]Type{}
	for _, f := range byDefault {
		if kinds[f.Name] != "" {
			t.Errorf("%s is in the table twice", f.Name)
		}
		kinds[f.Name] = f.Type
		if strings.ContainsAny(f.Help, "\\\n\"") || f.Help == "" {
			t.Errorf("%s: help %q would need escaping, or is empty", f.Name, f.Help)
		}
	}
	n := 0
	for _, c := range expositiontest.Contract {
		if !c.PerStream {
			continue
		}
		n++
		if string(kinds[c.Name]) != c.Type {
			t.Errorf("%s has type %q in the table, want %q", c.Name, kinds[c.Name], c.Type)
		}
	}
	if n != len(byDefault) || n != 19 || len(expositiontest.Contract) != 23 {
		t.Errorf("%d families in the table, %d of %d in the contract are per stream; want 19, 19 of 23",
			len(byDefault), n, len(expositiontest.Contract))
	}
}
