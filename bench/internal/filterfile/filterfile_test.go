package filterfile

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/net/bpf"
)

func TestAProgramIsReadAsItWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prog")
	for _, of := range []func() ([]bpf.RawInstruction, error){TCP, TCPAny} {
		prog, err := of()
		if err != nil || len(prog) < 10 {
			t.Fatalf("%d instructions, %v", len(prog), err)
		}
		if err := Write(path, prog); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(path); err != nil || !slices.Equal(got, prog) {
			t.Errorf("read %v, %v; want %v", got, err, prog)
		}
	}
}

func TestWhatIsNoProgramIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "prog")
	for _, text := range []string{"", "0\n", "5000\n", "2\n6 0 0 96\n", "1\n6 0 0 x\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if prog, err := Read(path); err == nil {
			t.Errorf("%q is the program %v", text, prog)
		}
	}
	if _, err := Read(path + "none"); err == nil {
		t.Error("a file that is not there was read")
	}
}
