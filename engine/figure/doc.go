// Package figure draws results as PNG and SVG files. It takes the structs that
// package measure returns and measures nothing itself.
package figure
