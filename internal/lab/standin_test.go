package lab

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
)

// TestMain makes the test binary, called by the name "standin", a process that behaves as the
// exporter does towards this package.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "standin" {
		os.Exit(m.Run())
	}
	http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "capture_packets_processed_total 3")
	})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go http.ListenAndServe(":9100", nil)
	<-stop
	if os.Args[1] == "failing" {
		os.Exit(3)
	}
	fmt.Println("bye")
	os.Exit(0)
}
