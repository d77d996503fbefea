package exposition

import (
	"cmp"
	"slices"
	"strconv"

	"tcp-stream-exporter/group"
	"tcp-stream-exporter/printable"
)

// GroupNames returns the texts of what combinations are made of. Both functions are called from the goroutine that
// reads, and may be nil.
type GroupNames struct {
	Member    func(group.Member) string // nil: all are "other"
	Interface func(index uint32) string // as Streams.InterfaceName
}

// other is the label of what is in no group, and of ports that are no service.
const other = "other"

// Combination holds the labels and the figures of one combination of groups.
type Combination struct {
	Client, Server, Service string // UTF-8
	Interface               string // "": it has no such label
	Totals                  *group.Totals

	text [3]uint32 // where its parts end in Combinations.text
}

// Combinations holds the combinations of one reading, by their labels. The zero value is empty. Its memory is kept
// from reading to reading; one goroutine at a time.
type Combinations struct {
	All     []Combination
	Reading *group.Reading

	// text holds what the lines of each combination have in common, in three parts that other labels stand between.
	text         []byte
	distribution Distribution // of the series under way
}

// Read takes the combinations of r that have counted something. Those with the same labels become one, and r is
// changed by that: a subnet may be counted under two groups, one before a reload and one after it. r belongs to c
// until the next Read.
func (c *Combinations) Read(r *group.Reading, names GroupNames) {
	c.All, c.text, c.Reading = c.All[:0], c.text[:0], r
	for i := range r.Rows {
		row := &r.Rows[i]
		if hasCounted(&row.Totals) {
			c.All = append(c.All, Combination{
				Client: names.member(row.Client), Server: names.member(row.Server),
				Service: serviceName(row.Service), Interface: names.origin(row.Interface), Totals: &row.Totals,
			})
		}
	}
	slices.SortFunc(c.All, func(a, b Combination) int { return a.compare(&b) })
	kept := 0
	for i := range c.All {
		if kept > 0 && c.All[i].compare(&c.All[kept-1]) == 0 {
			c.All[kept-1].Totals.Add(c.All[i].Totals)
			continue
		}
		c.All[kept] = c.All[i]
		kept++
	}
	c.All = c.All[:kept]
	for i := range c.All {
		c.render(&c.All[i])
	}
}

// hasCounted reports whether a combination has counted anything, or has connections. Each time in a histogram is one
// of a packet.
func hasCounted(t *group.Totals) bool {
	return t.Data != [group.Directions]group.Data{} || t.Opened != 0 || t.Established != 0 ||
		t.Closed != [group.ClosedReasons]uint64{} || t.Failed != [group.FailedReasons]uint64{} ||
		t.HalfOpen != 0 || t.EstablishedNow != 0 || t.OneWay != 0
}

// member returns the label of m.
func (n *GroupNames) member(m group.Member) string {
	if n.Member == nil {
		return other
	}
	return printable.Text(n.Member(m))
}

// origin returns the label of the interface with an index; "" if the interface does not count.
func (n *GroupNames) origin(index uint32) string {
	if index == 0 {
		return ""
	}
	if n.Interface != nil {
		if name := n.Interface(index); name != "" {
			return printable.Text(name)
		}
	}
	return strconv.FormatUint(uint64(index), 10)
}

func serviceName(port uint16) string {
	if port == 0 {
		return other
	}
	return strconv.Itoa(int(port))
}

// compare orders combinations by their labels.
func (c *Combination) compare(d *Combination) int {
	return cmp.Or(cmp.Compare(c.Client, d.Client), cmp.Compare(c.Interface, d.Interface), cmp.Compare(c.Server, d.Server), cmp.Compare(c.Service, d.Service))
}

// render appends the text of a combination: its labels in alphabetical order, in the parts up to where direction
// stands, up to leg and reason, and up to state.
func (c *Combinations) render(of *Combination) {
	b := append(c.text, `{client_group="`...)
	b = append(appendEscaped(b, of.Client), '"')
	of.text[0] = uint32(len(b))
	if of.Interface != "" {
		b = append(b, `,interface="`...)
		b = append(appendEscaped(b, of.Interface), '"')
	}
	of.text[1] = uint32(len(b))
	b = append(b, `,server_group="`...)
	b = append(appendEscaped(b, of.Server), `",service="`...)
	b = append(appendEscaped(b, of.Service), '"')
	of.text[2] = uint32(len(b))
	c.text = b
}

// appendLabels appends the labels of combination i, and label with its value among them in alphabetical order, up
// to where le stands. label may be "".
func (c *Combinations) appendLabels(b []byte, i int, label, value string) []byte {
	begin, ends := uint32(0), &c.All[i].text
	if i > 0 {
		begin = c.All[i-1].text[2]
	}
	place := 2 // after which part label stands
	switch {
	case label < "interface":
		place = 0
	case label < "server_group":
		place = 1
	}
	for part, end := range ends {
		b = append(b, c.text[begin:end]...)
		if part == place && label != "" {
			b = append(b, ',')
			b = append(b, label...)
			b = append(b, `="`...)
			b = append(b, value...) // of a table: nothing in it is escaped
			b = append(b, '"')
		}
		begin = end
	}
	return b
}
