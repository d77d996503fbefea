package fence

import (
	"os/exec"
	"strings"
	"testing"
)

// inlined lists calls on the packet path that the compiler must put into their caller, with the profile that the
// program is built with: the call and the registers that it takes from all packets cost more than its work.
var inlined = []struct{ file, callee string }{
	{"capture/walk.go", "ring.(*Block).At"},
	{"capture/walk.go", "parse.Ordinary"},
	{"worker/worker.go", "table.(*Table).Prefetch"},
	{"worker/worker.go", "table.(*Table).AtUnchecked"},
	{"worker/worker.go", "stream.(*Conn).QuietSince"},
	{"worker/worker.go", "(*bounds).time"},
	{"table/batch.go", "(*Table).group"},
	{"table/batch.go", "matchFirst"},
	{"table/batch.go", "parse.(*Flow).Same"},
	{"table/batch.go", "stream.(*Conn).Mark"},
	{"stream/account.go", "(*Stream).timeNext"},
	{"stream/account.go", "(*Stream).acked"},
	{"stream/account.go", "(*moments).follow"},
}

// TestPacketPathIsInlined asks the compiler. A change of a function's lines may take the profile from its calls:
// "make pgo" records it again.
func TestPacketPathIsInlined(t *testing.T) {
	cmd := exec.Command("go", "build", "-gcflags=-m", "-pgo=default.pgo", "./capture", "./worker", "./table", "./stream")
	cmd.Dir = "../.."
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		at, callee, is := strings.Cut(strings.TrimSpace(line), ": inlining call to ")
		file, _, _ := strings.Cut(at, ":")
		seen[file+" "+callee] = seen[file+" "+callee] || is
	}
	for _, c := range inlined {
		if !seen[c.file+" "+c.callee] {
			t.Errorf("%s: %s is called, not inlined", c.file, c.callee)
		}
	}
}
