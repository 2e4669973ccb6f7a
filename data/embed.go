package data

import "embed"

// embeddedMNIST is the complete MNIST database as gzip-compressed IDX files,
// with its licence.
//
//go:embed mnist
var embeddedMNIST embed.FS
