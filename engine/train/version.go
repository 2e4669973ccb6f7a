package train

import (
	"runtime"
	"runtime/debug"
)

// Keys of Versions.
const (
	versionSgflow   = "sgflow"
	versionGo       = "go"
	versionPlatform = "platform"
	versionRevision = "revision"
)

// Versions names what runs: the version of sgflow ("(devel)" where it was
// built from a working tree), of Go, the platform, and the source's revision
// where the build knows it, with "+changes" where files differed from it.
func Versions() map[string]string {
	v := map[string]string{
		versionSgflow:   "(devel)",
		versionGo:       runtime.Version(),
		versionPlatform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v[versionSgflow] = info.Main.Version
	}
	changed := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v[versionRevision] = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				changed = "+changes"
			}
		}
	}
	if revision := v[versionRevision]; revision != "" {
		v[versionRevision] = revision + changed
	}
	return v
}
