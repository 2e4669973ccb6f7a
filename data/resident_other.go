//go:build !linux

package data

func releaseEmbedded() {}
