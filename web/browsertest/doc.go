// Package browsertest has tests of the page at / in a real browser, headless Chromium. It is a module of its own, so
// that the program does not depend on the browser's protocol.
package browsertest
