package ring

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
)

func good() Config {
	return Config{BlockSize: 256 << 10, NumBlocks: 128, FrameSize: 2048}
}

// validateRow is one configuration: the good one, changed by set, on a machine with this page size.
type validateRow struct {
	name string
	page int
	set  func(c *Config)
	want []string // words of the one line; none: valid
}

func TestValidate(t *testing.T) {
	for _, tt := range append(rows64bit, []validateRow{
		{"the defaults are valid", 4096, func(c *Config) {}, nil},
		{"a ring of one block of one page is valid", 4096, func(c *Config) { c.BlockSize, c.NumBlocks, c.FrameSize = 4096, 1, 4096 }, nil},
		{"the smallest frame size is valid", 4096, func(c *Config) { c.FrameSize = 80 }, nil},
		{"a block need not be a multiple of the frame size", 4096, func(c *Config) { c.FrameSize = 2032 }, nil},
		{"a block need not be a power of two", 4096, func(c *Config) { c.BlockSize = 3 * 4096 }, nil},
		{"the most blocks that the kernel counts are valid", 4096, func(c *Config) { c.NumBlocks = 65536 }, nil},
		{"a ring of 16 GiB is valid: the product is not taken in 32 bits", 4096, func(c *Config) { c.BlockSize, c.NumBlocks = 1<<30, 16 }, nil},
		{"the largest block is valid", 4096, func(c *Config) { c.BlockSize, c.NumBlocks = 1<<31-4096, 1 }, nil},
		{"the longest retire timeout is valid", 4096, func(c *Config) { c.RetireTov = 65535 * time.Millisecond }, nil},
		{"the longest filter is valid", 4096, func(c *Config) { c.Filter = make([]bpf.RawInstruction, 4096) }, nil},

		{"a block size of 0", 4096, func(c *Config) { c.BlockSize = 0 }, []string{"block size 0", "positive"}},
		{"a negative block size", 4096, func(c *Config) { c.BlockSize = -4096 }, []string{"block size -4096", "positive"}},
		{"a block size of half a page", 4096, func(c *Config) { c.BlockSize = 2048 }, []string{"block size 2048", "page size, 4096", "use 4096"}},
		{"a block size between pages", 4096, func(c *Config) { c.BlockSize = 262145 }, []string{"block size 262145", "page size, 4096", "use 266240"}},
		{"a block size for 4 KiB pages where pages have 64 KiB", 65536, func(c *Config) { c.BlockSize = 32768 }, []string{"block size 32768", "page size, 65536", "use 65536"}},
		{"a block size in the last page below 2 GiB", 4096, func(c *Config) { c.BlockSize = 1<<31 - 1 }, []string{"block size 2147483647", "use 2147479552"}},

		{"a frame size of 0", 4096, func(c *Config) { c.FrameSize = 0 }, []string{"frame size 0", "positive"}},
		{"a negative frame size", 4096, func(c *Config) { c.FrameSize = -16 }, []string{"frame size -16", "positive"}},
		{"a frame size without room for the header", 4096, func(c *Config) { c.FrameSize = 64 }, []string{"frame size 64", "at least 80"}},
		{"a frame size that is TPACKET3_HDRLEN, no multiple of 16", 4096, func(c *Config) { c.FrameSize = 68 }, []string{"frame size 68", "at least 80"}},
		{"a frame size between multiples of 16", 4096, func(c *Config) { c.FrameSize = 2047 }, []string{"frame size 2047", "not a multiple of 16", "use 2048"}},
		{"a frame size one byte below the block size", 4096, func(c *Config) { c.FrameSize = 256<<10 - 1 }, []string{"frame size 262143", "not a multiple of 16", "use 262144"}},
		{"a frame size larger than the block size", 4096, func(c *Config) { c.FrameSize = 256<<10 + 16 }, []string{"frame size 262160 and block size 262144", "use at most 262144"}},

		{"no blocks", 4096, func(c *Config) { c.NumBlocks = 0 }, []string{"number of blocks 0", "positive"}},
		{"a negative number of blocks", 4096, func(c *Config) { c.NumBlocks = -1 }, []string{"number of blocks -1", "positive"}},
		{"one block more than the kernel counts", 4096, func(c *Config) { c.NumBlocks = 65537 }, []string{"number of blocks 65537", "at most 65536"}},
		{"more frames than 32 bits count", 4096, func(c *Config) { c.BlockSize, c.NumBlocks, c.FrameSize = 1<<30, 65536, 80 },
			[]string{"frame size 80", "879609249792 frames", "number of blocks 65536", "block size 1073741824", "at least 16400"}},

		{"a negative interface index", 4096, func(c *Config) { c.IfIndex = -1 }, []string{"interface index -1", "0 for all"}},
		{"a negative retire timeout", 4096, func(c *Config) { c.RetireTov = -time.Second }, []string{"retire timeout -1s", "0 to let the kernel choose"}},
		{"a retire timeout of more than 16 bits of ms", 4096, func(c *Config) { c.RetireTov = 65536 * time.Millisecond }, []string{"retire timeout 1m5.536s", "at most 1m5.535s"}},
		{"a filter of 4097 instructions", 4096, func(c *Config) { c.Filter = make([]bpf.RawInstruction, 4097) }, []string{"4097 instructions", "at most 4096"}},
	}...) {
		t.Run(tt.name, func(t *testing.T) {
			c := good()
			tt.set(&c)
			err := c.validate(tt.page, math.MaxInt64)
			if tt.want == nil {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("accepted")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			if strings.ContainsRune(err.Error(), '\n') {
				t.Errorf("%q is more than a line", err)
			}
			var setting *SettingError
			if !errors.As(err, &setting) {
				t.Fatalf("%T is no *SettingError", err)
			}
			// In the caller's words none of this package's is left before the colon.
			head, _, _ := strings.Cut(setting.Text(func(s Setting) string { return "-flag" }), ": ")
			if strings.Trim(strings.NewReplacer("-flag", "", ", ", "", " and ", "").Replace(head), " ") != "" {
				t.Errorf("begins with %q where each setting is -flag", head)
			}
		})
	}
}

func TestValidateOnA32BitMachine(t *testing.T) {
	c := good()
	c.NumBlocks = 8192 // 2 GiB
	err := c.validate(4096, math.MaxInt32)
	if err == nil || !strings.Contains(err.Error(), "2147483648 bytes") || !strings.Contains(err.Error(), "fewer or smaller blocks") {
		t.Errorf("got %v, want an error that names 2147483648 bytes", err)
	}
	c.NumBlocks--
	if err := c.validate(4096, math.MaxInt32); err != nil {
		t.Errorf("one block less: %v", err)
	}
}

// A remedy that is refused in its turn is none.
func TestValidateProposesWhatItAccepts(t *testing.T) {
	proposed := regexp.MustCompile(`use (?:a frame size of at least |at least |at most )?(\d+)`)
	for _, tt := range []struct {
		name string
		set  func(c *Config, v int)
		of   Config
	}{
		{"block size", func(c *Config, v int) { c.BlockSize = v }, Config{BlockSize: 4097, NumBlocks: 1, FrameSize: 80}},
		{"block size just below 2 GiB", func(c *Config, v int) { c.BlockSize = v }, Config{BlockSize: 1<<31 - 2, NumBlocks: 1, FrameSize: 2048}},
		{"frame size", func(c *Config, v int) { c.FrameSize = v }, Config{BlockSize: 4096, NumBlocks: 1, FrameSize: 4081}},
		{"number of blocks", func(c *Config, v int) { c.NumBlocks = v }, Config{BlockSize: 4096, NumBlocks: 1 << 20, FrameSize: 2048}},
		{"frame size for too many frames", func(c *Config, v int) { c.FrameSize = v }, Config{BlockSize: 1 << 30, NumBlocks: 60000, FrameSize: 96}},
		{"frame size for too many frames in odd blocks", func(c *Config, v int) { c.FrameSize = v }, Config{BlockSize: 3 << 28, NumBlocks: 65535, FrameSize: 80}},
	} {
		err := tt.of.validate(4096, math.MaxInt64)
		if err == nil {
			t.Errorf("%s: accepted at first", tt.name)
			continue
		}
		m := proposed.FindStringSubmatch(err.Error())
		if m == nil {
			t.Errorf("%s: no proposal in %q", tt.name, err)
			continue
		}
		v, _ := strconv.Atoi(m[1])
		c := tt.of
		tt.set(&c, v)
		if again := c.validate(4096, math.MaxInt64); again != nil {
			t.Errorf("%s: %q, and then %q", tt.name, err, again)
		}
	}
}

func TestRetireTimeoutIsRoundedUp(t *testing.T) {
	for _, tt := range []struct {
		tov  time.Duration
		want uint32
	}{
		{0, 0}, {1, 1}, {time.Millisecond, 1}, {time.Millisecond + 1, 2}, {60 * time.Millisecond, 60}, {65535 * time.Millisecond, 65535},
	} {
		if got := (Config{RetireTov: tt.tov}).retireTovMs(); got != tt.want {
			t.Errorf("%s: %d ms, want %d", tt.tov, got, tt.want)
		}
	}
}
