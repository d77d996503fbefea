// Package group sums up TCP connections by who talks to whom: combinations of the client's group, the server's group
// and the service, and the interface where connections are told apart by it. A group is a name for a set of address
// prefixes; a service is a server port.
package group
