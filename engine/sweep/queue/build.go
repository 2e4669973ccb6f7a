package queue

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"sgflow/engine/train"
)

// protocol is the version of the messages and names in this package.
const protocol = 1

// Build is a build of sgflow. Two of the same source and toolchain are equal,
// whatever the platform.
type Build struct {
	Text string // for people: version, toolchain, revision
	Key  string // a hash of Text, part of subjects
}

// NewBuild returns the build that text describes.
func NewBuild(text string) Build {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", protocol, text))
	return Build{Text: text, Key: hex.EncodeToString(sum[:6])}
}

// ThisBuild returns the build that is running. Where the source's revision is
// not known, or not clean, the hash of the executable stands for it.
func ThisBuild() (Build, error) {
	v := train.Versions()
	text := fmt.Sprintf("sgflow %s, %s", v["sgflow"], v["go"])
	revision := v["revision"]
	if len(revision) == 40 {
		return NewBuild(text + ", revision " + revision[:12]), nil
	}
	path, err := os.Executable()
	if err != nil {
		return Build{}, fmt.Errorf("queue: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return Build{}, fmt.Errorf("queue: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return Build{}, fmt.Errorf("queue: %w", err)
	}
	return NewBuild(text + ", binary " + hex.EncodeToString(h.Sum(nil)[:6])), nil
}
