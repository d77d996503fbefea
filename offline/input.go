package offline

import (
	"fmt"
	"io"
	"os"
	"time"

	"tcp-stream-exporter/pcapfile"
)

// input reads the files of -read as one capture, one after the other. Every file is opened once before the first
// packet, so that a name that is wrong costs nothing, but between then and its turn only those stay open that
// cannot be opened again: standard input and pipes.
type input struct {
	files []inputFile
	o     *Options
	at    int              // index of the file that is read
	cur   *pcapfile.Reader // of that file; nil: it is not open
	begun bool             // a packet of that file was read

	packets uint64  // of the files before
	size    int64   // of all files in bytes; 0: not known of all
	read    int64   // bytes of the files before
	last    int64   // time of the latest packet, ns since the epoch
	damages []error // what ended files early, each with the file's name
}

// inputFile is one file of an input.
type inputFile struct {
	arg    string // as given
	in     *os.File
	reader *pcapfile.Reader // nil: to be opened again
}

// openInput opens the files and looks at their first bytes. An error leaves nothing open.
func (o *Options) openInput() (_ *input, err error) {
	in := &input{o: o, files: make([]inputFile, len(o.Files))}
	defer func() {
		if err != nil {
			in.close()
		}
	}()
	sized := true
	for i, arg := range o.Files {
		f := &in.files[i]
		f.arg = arg
		if err := f.open(); err != nil {
			return nil, fmt.Errorf("%s: %w", o.ReadFlag(arg), withRemedy(err, arg))
		}
		info, err := f.in.Stat()
		regular := err == nil && info.Mode().IsRegular()
		if regular {
			in.size += info.Size()
		}
		sized = sized && regular
		if regular && f.in != os.Stdin && i > 0 {
			f.close()
		}
	}
	if !sized {
		in.size = 0
	}
	return in, nil
}

// open opens the file, unless it is open.
func (f *inputFile) open() (err error) {
	if f.reader != nil {
		return nil
	}
	if f.in = os.Stdin; f.arg != "-" {
		if f.in, err = os.Open(f.arg); err != nil {
			return openError{err}
		}
	}
	if f.reader, err = pcapfile.NewReader(f.in); err != nil {
		f.close()
	}
	return err
}

// openError is the error of opening a file.
type openError struct{ err error }

func (e openError) Error() string { return e.err.Error() }

func (e openError) Unwrap() error { return e.err }

// close closes the file, if it is open.
func (f *inputFile) close() {
	if f.reader != nil {
		f.reader.Close()
	}
	if f.in != nil {
		f.in.Close()
	}
	f.reader, f.in = nil, nil
}

func (in *input) close() {
	for i := range in.files {
		in.files[i].close()
	}
}

// Next reads the next packet into p, as pcapfile.Reader does. A file that is damaged ends there, and the next one
// follows. The error is io.EOF after the last file.
func (in *input) Next(p *pcapfile.Packet) error {
	for in.at < len(in.files) {
		f := &in.files[in.at]
		if in.cur == nil {
			if err := f.open(); err != nil {
				in.end(withRemedy(err, f.arg))
				continue
			}
			in.cur, in.begun = f.reader, false
			in.cur.StartAfter(in.last)
		}
		err := in.cur.Next(p)
		if err == nil {
			if !in.begun {
				in.begun = true
				in.checkOrder(p.Time)
			}
			in.last = p.Time
			return nil
		}
		if err == io.EOF {
			err = nil
		}
		in.end(err)
	}
	return io.EOF
}

// end ends the file at hand. damage is nil if it was read to its end.
func (in *input) end(damage error) {
	f := &in.files[in.at]
	if damage != nil {
		in.damages = append(in.damages, fmt.Errorf("%s: %w: what stands before it is accounted%s", in.o.ReadFlag(f.arg), damage, in.others()))
	}
	if in.cur != nil {
		in.packets += in.cur.Packets()
		in.read += in.cur.Offset()
	}
	f.close()
	in.cur = nil
	in.at++
}

// others says that damage to one of several files leaves the others whole.
func (in *input) others() string {
	if len(in.files) > 1 {
		return ", and so are the other files"
	}
	return ""
}

// outOfOrder is how much earlier a file may begin than the one before it ended: several queues of a network card
// are not in step.
const outOfOrder = int64(time.Second)

// checkOrder tells the operator about a file that begins before the one before it ended: tcpdump -C numbers its
// files without leading zeros, which a shell sorts as 1, 10, 2. first is the time of the file's first packet.
func (in *input) checkOrder(first int64) {
	if in.at > 0 && in.packets > 0 && first < in.last-outOfOrder {
		in.o.Say(fmt.Sprintf("%s: begins %v before the end of the file before it: give files in the order in which they were captured",
			in.o.ReadFlag(in.files[in.at].arg), time.Duration(in.last-first).Round(time.Millisecond)))
	}
}

// Packets returns the number of packets that Next has delivered.
func (in *input) Packets() uint64 {
	if in.cur == nil {
		return in.packets
	}
	return in.packets + in.cur.Packets()
}

// Offset returns the number of bytes read of all files.
func (in *input) Offset() int64 {
	if in.cur == nil {
		return in.read
	}
	return in.read + in.cur.Offset()
}

// name returns what the closing line calls the input.
func (in *input) name() string {
	name := in.files[0].arg
	if name == "-" {
		name = "standard input"
	}
	switch more := len(in.files) - 1; more {
	case 0:
		return name
	case 1:
		return name + " and 1 more file"
	default:
		return fmt.Sprintf("%s and %d more files", name, more)
	}
}

// damage returns the last of the damages, after having told the operator about the others.
func (in *input) damage() error {
	if len(in.damages) == 0 {
		return nil
	}
	last := len(in.damages) - 1
	for _, err := range in.damages[:last] {
		in.o.Say(err.Error())
	}
	return in.damages[last]
}
