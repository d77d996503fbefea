// Package group sums up TCP connections by who talks to whom: combinations of the client's group, the server's group
// and the service, and the interface where connections are told apart by it. A group is a name for a set of address
// prefixes; a service is a server port.
//
// A Builder makes a Set of lists of groups; the Set says which group an address belongs to, and never changes. Names
// outlive the Sets, so that what was counted under a name of an earlier list still has it.
package group
